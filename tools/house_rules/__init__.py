"""House rules for template.yaml, as cfn-lint plug-ins (E9001 to E9016).

They see the template after the SAM transform, so they judge what would really be deployed. A file whose name
starts with an underscore holds no rule.
"""
