"""The public face: catalog, OpenAPI document, health."""
