"""Starts the Lambda runtime's Python client, and says on stderr how long the function took to get ready.

    python -S bootstrap.py HANDLER

The first request for an event is the end of the init phase: the handler's module and all that it imports are loaded.
"""

import sys
import time

STARTED = time.perf_counter()


def main() -> None:
    """Load the handler and serve events until the emulator stops the process."""
    from awslambdaric import bootstrap  # noqa: PLC0415 - its import belongs to the time that is measured
    from awslambdaric.lambda_config import LambdaConfigProvider  # noqa: PLC0415
    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient  # noqa: PLC0415

    class Client(LambdaRuntimeClient):  # type: ignore[misc]  # the package has no types
        """Reports once that init is over."""

        ready = False

        def wait_next_invocation(self) -> object:
            """Ask for the next event."""
            if not self.ready:
                self.ready = True
                wall, cpu = time.perf_counter() - STARTED, time.process_time()
                print(f"INIT wall {wall * 1e3:.1f} ms cpu {cpu * 1e3:.1f} ms", file=sys.__stderr__, flush=True)
            return super().wait_next_invocation()

    config = LambdaConfigProvider(sys.argv)
    bootstrap.run(config.handler, Client(config.api_address, config.use_thread_polling))


main()
