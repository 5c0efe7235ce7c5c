"""IAM: the permissions of each role and resource."""

import re
import unittest

from templates import TEMPLATES, alternatives, as_list, flat, name, resources, transformed, walk

# The wildcards allowed, each with its reason. A new one needs a line here.
WILDCARDS = {
    # AWS has no narrower form of this action; GetSecretValue says which secrets.
    ("secretsmanager:BatchGetSecretValue", "*"),
    # Lists log groups, for flow logs: no narrower form either.
    ("logs:DescribeLogGroups", "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*"),
    # SES asks for the identity of sender and, in its sandbox, recipient; a condition fixes the sender.
    ("ses:SendEmail", "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/*"),
    # A bucket's objects: log files whose names S3 chooses, pages that CloudFront reads.
    ("s3:PutObject", "${AccessLogs.Arn}/uploads/*"),
    ("s3:GetObject", "${Pages.Arn}/*"),
    # Users' files, under their ids. test_uploads.py says which function may do what.
    *((f"s3:{action}", f"arn:${{AWS::Partition}}:s3:::${{Uploads}}/{folder}/*")
      for action in ("GetObject", "PutObject", "DeleteObject", "DeleteObjectVersion") for folder in ("quarantine", "clean")),
}
# The six characters at the end of a secret's ARN.
SECRET_SUFFIX = "-??????"
# IAM's default limit of managed policies per role.
MANAGED_POLICIES = 10


def statements():
    """`(template, where, statement)` of every policy, inline, managed or of a resource."""
    for path in TEMPLATES:
        for where, value in walk(transformed(path)["Resources"]):
            if isinstance(value, dict) and "Effect" in value and ("Action" in value or "NotAction" in value):
                yield path, where, value


def documents(path, function):
    """The statements of each policy of a function's role, also of those that a condition adds."""
    template = transformed(path)["Resources"]
    role = template[function["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
    policies = [policy["PolicyDocument"] for policy in flat(role.get("Policies", []))]
    for managed in flat(role["ManagedPolicyArns"]):
        if isinstance(managed, dict) and managed.get("Ref") in template:
            policies.append(template[managed["Ref"]]["Properties"]["PolicyDocument"])
    for policy in policies:
        yield policy | {"Statement": flat(policy["Statement"])}


def text(resource):
    """A resource as it is written."""
    return resource["Fn::Sub"] if isinstance(resource, dict) and "Fn::Sub" in resource else resource


class Permissions(unittest.TestCase):
    def test_permissions_have_no_unlisted_wildcards(self):
        used = set()
        for path, where, statement in statements():
            if statement["Effect"] != "Allow" or where[-3:-1] == ("AssumeRolePolicyDocument", "Statement"):
                continue
            at = f"{name(path)}: {'.'.join(map(str, where))}"
            self.assertNotIn("NotAction", statement, at)
            self.assertNotIn("NotResource", statement, at)
            for action in as_list(statement["Action"]):
                self.assertNotIn("*", action, at)
                for resource in map(text, as_list(statement["Resource"])):
                    if not isinstance(resource, str) or "KeyPolicy" in where:
                        continue # a reference; or, in a key's policy, the key itself
                    if "*" in resource or "?" in resource.removesuffix(SECRET_SUFFIX):
                        used.add((action, resource))
        self.assertEqual(used, WILDCARDS)

    def test_a_function_may_use_exactly_the_systems_and_secrets_that_its_variables_name(self):
        for path, logical_id, function in resources("AWS::Lambda::Function"):
            allowed = [
                (action, resource)
                for document in documents(path, function) for statement in document["Statement"] if statement["Effect"] == "Allow"
                for action in as_list(statement["Action"]) for resource in as_list(statement["Resource"])]
            variables = function["Properties"]["Environment"]["Variables"]
            actions = {action for action, _ in allowed}
            self.assertEqual("elasticache:Connect" in actions, "CACHE_URL" in variables, logical_id)
            self.assertEqual("rds-db:connect" in actions, variables.get("DATABASE_AUTH") == "iam", logical_id)
            roles = {
                role for variable, value in variables.items() if variable.endswith("DATABASE_URL")
                for role in re.findall(r"^postgres://(\w+)@", str(text(value)))}
            self.assertEqual(
                {text(resource).rpartition("/")[2] for action, resource in allowed if action == "rds-db:connect"}, roles, logical_id)
            named = {
                secret for value in variables.values() for branch in alternatives(value) if isinstance(branch, dict)
                for secret in re.findall(r"^secret:\$\{(\w+)\}(?:#\w+)?$", str(text(branch)))}
            # The app's origin is a text, or a reference to a secret with a name of its own.
            named |= {"AppOriginSecretName"} if "APP_ORIGIN" in variables else set()
            readable = {
                resource["Ref"] if "Ref" in resource
                else re.search(r":secret:\$\{(\w+)\}" + re.escape(SECRET_SUFFIX) + "$", text(resource))[1]
                for action, resource in allowed if action == "secretsmanager:GetSecretValue"}
            self.assertEqual(readable, named, logical_id)

    def test_no_role_has_more_managed_policies_than_iam_attaches(self):
        for _, logical_id, role in resources("AWS::IAM::Role"):
            self.assertLessEqual(len(role["Properties"].get("ManagedPolicyArns", [])), MANAGED_POLICIES, logical_id)

    def test_sending_mail_is_bound_to_the_sender(self):
        sending = [s for _, _, s in statements() if "ses:SendEmail" in as_list(s["Action"])]
        self.assertEqual([s["Condition"] for s in sending], [{"StringEquals": {"ses:FromAddress": {"Ref": "SenderAddress"}}}])

    def test_the_vaults_keys_are_limited_to_few_functions_and_one_purpose(self):
        every, first = {"Ref": "VaultKeys"}, {"Fn::Select": [0, {"Ref": "VaultKeys"}]}
        expected = {
            "ChatStreamFunction": [("kms:Decrypt", every)],
            "KeysFunction": [("kms:Decrypt", every), ("kms:GenerateDataKey", every)],
            "SweepFunction": [("kms:Decrypt", every), ("kms:GenerateDataKey", first)],
        }
        for path, logical_id, function in resources("AWS::Lambda::Function"):
            used = []
            for document in documents(path, function):
                for statement in document["Statement"]:
                    actions = [action for action in as_list(statement["Action"]) if action.startswith("kms:")]
                    used += [(action, statement["Resource"]) for action in actions]
                    if actions:
                        condition = {"StringEquals": {"kms:EncryptionContext:purpose": "provider-keys"}}
                        self.assertEqual(statement["Condition"], condition, logical_id)
            self.assertEqual(sorted(used, key=lambda use: use[0]), expected.get(logical_id, []), logical_id)
            has_keys = "VAULT_KEYS" in function["Properties"]["Environment"]["Variables"]
            self.assertEqual(has_keys, logical_id in expected, logical_id)

    def test_the_inbox_is_filled_with_turns_and_deliveries_and_emptied_by_the_sweep(self):
        expected = {
            "ChatStreamFunction": {"dynamodb:PutItem"},
            "WebhookFunction": {"dynamodb:PutItem", "dynamodb:DeleteItem"},
            "SweepFunction": {"dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
        }
        # A function that requests reach writes one kind: a turn's must not be able to make up a payment.
        kinds = {"ChatStreamFunction": "turn#*", "WebhookFunction": "delivery#*"}
        table = {"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${Inbox}"}
        for path, logical_id, function in resources("AWS::Lambda::Function"):
            used = set()
            for document in documents(path, function):
                for statement in document["Statement"]:
                    actions = {action for action in as_list(statement["Action"]) if action.startswith("dynamodb:")}
                    used |= actions
                    if actions:
                        self.assertEqual(statement["Resource"], table, logical_id)
                        kind = kinds.get(logical_id)
                        only = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": kind}} if kind else None
                        self.assertEqual(statement.get("Condition"), only, logical_id)
            self.assertEqual(used, expected.get(logical_id, set()), logical_id)
            variable = function["Properties"]["Environment"]["Variables"].get("INBOX_TABLE")
            self.assertEqual(variable, {"Ref": "Inbox"} if logical_id in expected else None, logical_id)

    def test_no_function_in_the_network_may_touch_its_interfaces(self):
        for path, logical_id, function in resources("AWS::Lambda::Function"):
            if "VpcConfig" not in function["Properties"]:
                continue
            denied = [
                action for document in documents(path, function) for statement in document["Statement"]
                if statement["Effect"] == "Deny" and statement["Resource"] == "*" and "lambda:SourceFunctionArn" in statement["Condition"]["ArnLike"]
                for action in as_list(statement["Action"])]
            self.assertLessEqual({"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses"}, set(denied), logical_id)

    def test_resource_policies_admit_only_services(self):
        for path, where, statement in statements():
            if statement["Effect"] == "Allow" and "Principal" in statement:
                principal = statement["Principal"]
                at = f"{name(path)}: {'.'.join(map(str, where))}"
                if "KeyPolicy" in where:
                    self.assertTrue(principal["AWS"]["Fn::Sub"].endswith("${AWS::AccountId}:root"), at)
                else:
                    self.assertEqual(set(principal), {"Service"}, at)

    def test_every_bucket_is_closed_and_takes_tls_only(self):
        tls_only = set()
        for path, _, policy in resources("AWS::S3::BucketPolicy"):
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                if statement.get("Condition") == {"Bool": {"aws:SecureTransport": False}} and statement["Effect"] == "Deny":
                    tls_only.add((path, policy["Properties"]["Bucket"]["Ref"]))
        for path, logical_id, bucket in resources("AWS::S3::Bucket"):
            self.assertIn((path, logical_id), tls_only)
            block = bucket["Properties"]["PublicAccessBlockConfiguration"]
            self.assertEqual(set(block.values()), {True}, logical_id)
            self.assertEqual(len(block), 4, logical_id)

    def test_persistent_data_outlives_the_stack(self):
        # Resources of a failed deploy hold no data yet, and their names would block the next deploy.
        stays = ("RetainExceptOnCreate", "Retain")
        kept = {
            ("AWS::RDS::DBInstance", "Database"): ("Snapshot", "Snapshot"),
            ("AWS::DynamoDB::Table", "Inbox"): stays,
            ("AWS::S3::Bucket", "Uploads"): stays,
            ("AWS::S3::BucketPolicy", "UploadsPolicy"): stays,
            ("AWS::S3::Bucket", "AccessLogs"): stays,
            ("AWS::S3::BucketPolicy", "AccessLogsPolicy"): stays,
            ("AWS::KMS::Key", "VaultKey"): stays,
            ("AWS::IAM::Role", "LogRole"): stays,
            ("AWS::ApiGateway::Account", "LogAccount"): stays,
        }
        for (kind, logical_id), policy in kept.items():
            [resource] = [r for _, found, r in resources(kind) if found == logical_id]
            self.assertEqual((resource["DeletionPolicy"], resource["UpdateReplacePolicy"]), policy, logical_id)
