"""The API: its routes and their integrations."""

import json
import re
import unittest

from templates import NESTED, REPOSITORY, resources, source, transformed

[API] = [path for path in NESTED if path.stem == "api"]
STREAMED = {("/api/chat", "post"), ("/api/chat/{id}/stream", "get"), ("/api/chat/{id}/stop", "post")}


def methods():
    """`(path, method, operation)` of the REST API as deployed."""
    [(_, _, api)] = resources("AWS::ApiGateway::RestApi")
    for path, operations in api["Properties"]["Body"]["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def alias_of(operation):
    """The alias that an integration calls."""
    [alias] = re.findall(r"/functions/\$\{(\w+)\}/", operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"])
    return alias


def documented_codes():
    """Code and status of each error in docs/errors.md."""
    lines = (REPOSITORY / "docs/errors.md").read_text()
    return dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", lines, re.MULTILINE))


class Routes(unittest.TestCase):
    def test_the_routes_are_those_of_the_document(self):
        document = json.loads((REPOSITORY / "docs/openapi.json").read_text())
        verbs = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
        documented = {(path, verb) for path, item in document["paths"].items() for verb in item if verb in verbs}
        self.assertEqual({(path, method) for path, method, _ in methods()}, documented)

    def test_the_chat_streams_and_nothing_else_does(self):
        # One binary speaks to the runtime in one mode: an integration that does not stream cannot read its
        # response at all.
        chats = {(path, method) for path, method, operation in methods() if alias_of(operation) == "ChatStreamFunctionAliaslive"}
        self.assertEqual(chats, STREAMED)
        for path, method, operation in methods():
            integration = operation["x-amazon-apigateway-integration"]
            uri = integration["uri"]["Fn::Sub"]
            self.assertEqual(integration["type"], "aws_proxy")
            if (path, method) in STREAMED:
                self.assertEqual(integration.get("responseTransferMode"), "STREAM", path)
                self.assertTrue(uri.endswith("/response-streaming-invocations"), uri)
            else:
                self.assertNotIn("responseTransferMode", integration, path)
                self.assertTrue(uri.endswith("}/invocations"), uri)

    def test_the_gateway_leaves_the_webhooks_body_to_its_function(self):
        # The gateway's 400 would come before the signature, and Cashfree would send the delivery again, in vain.
        validated = {
            (path, method) for path, method, operation in methods()
            if "requestBody" in operation or "x-amazon-apigateway-request-validator" in operation}
        self.assertIn(("/api/orders", "post"), validated)
        self.assertNotIn(("/api/webhooks/cashfree", "post"), validated)
        [(_, _, api)] = resources("AWS::ApiGateway::RestApi")
        self.assertNotIn("x-amazon-apigateway-request-validator", api["Properties"]["Body"])

    def test_the_gateways_timeout_covers_the_functions(self):
        for path, _, operation in methods():
            function = alias_of(operation).removesuffix("Aliaslive")
            timeout = transformed(API)["Resources"][function]["Properties"]["Timeout"]
            # Without a setting the gateway's timeout is 29 seconds.
            patience = operation["x-amazon-apigateway-integration"].get("timeoutInMillis", 29_000)
            self.assertGreaterEqual(patience, timeout * 1000, path)

    def test_the_gateway_may_call_the_function_of_every_route(self):
        permitted = set()
        for _, _, permission in resources("AWS::Lambda::Permission", API):
            properties = permission["Properties"]
            if properties["Principal"] == "apigateway.amazonaws.com":
                self.assertEqual(properties["Action"], "lambda:InvokeFunction")
                arn = properties["SourceArn"]["Fn::Sub"][0]
                permitted.add((properties["FunctionName"]["Ref"], arn.split("${__Stage__}/")[1]))
        for path, method, operation in methods():
            self.assertIn((alias_of(operation), method.upper() + re.sub(r"\{\w+\}", "*", path)), permitted)

    def test_no_function_url_lacks_one_of_its_two_permissions(self):
        permissions = [p["Properties"] | {"Condition": p.get("Condition")} for _, _, p in resources("AWS::Lambda::Permission")]
        for path, logical_id, url in resources("AWS::Lambda::Url"):
            properties = url["Properties"]
            alias = {"Ref": f"{properties['TargetFunctionArn']['Ref']}Alias{properties['Qualifier']}"}
            self.assertIn(alias["Ref"], transformed(path)["Resources"])
            self.assertEqual((properties["AuthType"], properties["InvokeMode"]), ("NONE", "RESPONSE_STREAM"))
            common = {"FunctionName": alias, "Principal": "*", "Condition": url.get("Condition")}
            self.assertIn(common | {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"}, permissions, logical_id)
            self.assertIn(common | {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True}, permissions, logical_id)

    def test_login_is_throttled_more_tightly_than_the_rest(self):
        [(_, _, stage)] = resources("AWS::ApiGateway::Stage")
        settings = {s["ResourcePath"]: s for s in stage["Properties"]["MethodSettings"]}
        for size, limits in source(API)["Mappings"]["Throttling"].items():
            for login in ("/~1api~1auth~1otp", "/~1api~1auth~1verify"):
                for limit in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
                    tight, loose = (limits[settings[path][limit]["Fn::FindInMap"][2]] for path in (login, "/*"))
                    self.assertGreater(tight, 0, f"{size} {login} {limit}")
                    self.assertLess(tight, loose, f"{size} {login} {limit}")

    def test_the_gateways_own_errors_have_the_format_and_the_codes_of_the_functions(self):
        [(_, _, api)] = resources("AWS::ApiGateway::RestApi")
        codes = documented_codes()
        responses = api["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"]
        self.assertLessEqual({"DEFAULT_4XX", "DEFAULT_5XX"}, set(responses))
        for kind, response in responses.items():
            # The placeholder is replaced by a quoted string.
            template = response["responseTemplates"]["application/json"].replace("$context.error.messageString", '"…"')
            error = json.loads(template)["error"]
            self.assertEqual(set(error), {"code", "message"}, kind)
            self.assertIn(error["code"], codes, f"{kind}: not in docs/errors.md")
            if kind != "DEFAULT_4XX":
                self.assertEqual(response["statusCode"], codes[error["code"]], kind)
