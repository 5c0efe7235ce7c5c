"""CloudFront: its routes, and the headers that it adds."""

import json
import subprocess
import unittest
from fnmatch import fnmatchcase

from templates import NESTED, flat, resources, source
from test_routes import STREAMED, methods

[EDGE] = [path for path in NESTED if path.stem == "edge"]
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"


def distribution():
    [(_, _, found)] = resources("AWS::CloudFront::Distribution")
    return found["Properties"]["DistributionConfig"]


def behaviours():
    """All path patterns that a deployment may have, in their order."""
    return flat(distribution()["CacheBehaviors"])


def of_the_api():
    return [found for found in behaviours() if found["TargetOriginId"] != "pages"]


def behaviour(path):
    [found] = [b for b in behaviours() if b["PathPattern"] == path]
    return found


def origin(identifier):
    [found] = [o for o in distribution()["Origins"] if o["Id"] == identifier]
    return found


def content_security_policy(headers, mode=None):
    """A policy by its directives, with Cashfree's hosts of a mode in their place."""
    policy = source(EDGE)["Resources"][headers]["Properties"]["ResponseHeadersPolicyConfig"]
    separator, directives = policy["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Fn::Join"]
    assert separator == "; "
    plain = {}
    for directive in directives:
        written = directive if isinstance(directive, str) else directive["Fn::Sub"]
        if isinstance(written, list):
            written, values = written
            [(word, value)] = values.items()
            table, chosen, column = value["Fn::FindInMap"]
            assert chosen == {"Ref": "CashfreeMode"}
            written = written.replace(f"${{{word}}}", source(EDGE)["Mappings"][table][mode][column])
        name, _, sources = written.partition(" ")
        plain[name] = sources
    return plain


def run_at_the_edge(logical_id, request, address="203.0.113.7"):
    """Runs a CloudFront Function on a request."""
    code = source(EDGE)["Resources"][logical_id]["Properties"]["FunctionCode"]
    event = json.dumps({"request": request, "viewer": {"ip": address}})
    done = subprocess.run(
        ["node", "--eval", f"{code}\nprocess.stdout.write(JSON.stringify(handler({event})))"],
        check=True, text=True, capture_output=True)
    return json.loads(done.stdout)


class Edge(unittest.TestCase):
    def test_a_slow_origin_is_not_retried(self):
        self.assertEqual(origin("chat")["ConnectionAttempts"], 1)
        self.assertEqual(origin("chat")["CustomOriginConfig"]["OriginReadTimeout"], 120)

    def test_a_stream_is_neither_compressed_nor_cached(self):
        for path in ("/api/chat", "/api/chat/*"):
            self.assertEqual((behaviour(path)["TargetOriginId"], behaviour(path)["Compress"]), ("chat", False), path)

    def test_the_chats_paths_precede_those_of_the_api_and_match_no_others(self):
        patterns = [b["PathPattern"] for b in of_the_api()]
        self.assertEqual(patterns, ["/api/chat", "/api/chat/*", "/api/plans", "/api/*"])

    def test_only_streaming_routes_go_to_the_chats_origin(self):
        for path, method, _ in methods():
            first = next(b for b in behaviours() if fnmatchcase(path, b["PathPattern"]))
            self.assertEqual(first["TargetOriginId"], "chat" if (path, method) in STREAMED else "api", path)

    def test_the_api_is_not_cached_but_for_what_is_public_and_requests_are_forwarded_whole(self):
        for found in of_the_api():
            is_public = found["PathPattern"] == "/api/plans"
            self.assertEqual(found["CachePolicyId"], CACHING_OPTIMIZED if is_public else CACHING_DISABLED)
            self.assertEqual(found["OriginRequestPolicyId"], ALL_VIEWER_EXCEPT_HOST_HEADER)
            self.assertEqual(found["ViewerProtocolPolicy"], "https-only")
            self.assertEqual(len(found["AllowedMethods"]), 2 if is_public else 7)

    def test_every_request_to_the_api_carries_the_client_ip_and_the_origin_secret(self):
        for found in of_the_api():
            [association] = found["FunctionAssociations"]
            self.assertEqual(association["EventType"], "viewer-request")
            self.assertEqual(association["FunctionARN"], {"Fn::GetAtt": ["ViewerAddressFunction", "FunctionARN"]})
            [header] = origin(found["TargetOriginId"])["OriginCustomHeaders"]
            self.assertEqual(header["HeaderName"], "x-origin-secret")
            self.assertIn("{{resolve:secretsmanager:${OriginSecret}", header["HeaderValue"]["Fn::Sub"])

    def test_a_spoofed_client_ip_is_overwritten(self):
        request = {"uri": "/api/me", "headers": {"x-viewer-address": {"value": "192.0.2.1"}, "accept": {"value": "*/*"}}}
        seen = run_at_the_edge("ViewerAddressFunction", request)
        self.assertEqual(seen["headers"], {"x-viewer-address": {"value": "203.0.113.7"}, "accept": {"value": "*/*"}})

    def test_cashfrees_script_runs_on_one_page_and_only_where_plans_are_sold(self):
        [conditional] = [b["Fn::If"] for b in distribution()["CacheBehaviors"] if "Fn::If" in b]
        condition, checkout, otherwise = conditional
        self.assertEqual((condition, otherwise), ("SellsPlans", {"Ref": "AWS::NoValue"}))
        self.assertEqual((checkout["PathPattern"], checkout["TargetOriginId"]), ("/checkout.html", "pages"))
        self.assertEqual(checkout["ResponseHeadersPolicyId"], {"Ref": "CheckoutHeaders"})
        users = [b for b in [distribution()["DefaultCacheBehavior"], *behaviours()] if b["ResponseHeadersPolicyId"] == {"Ref": "CheckoutHeaders"}]
        self.assertEqual(users, [checkout])
        for path in ("/", "/index.html", "/checkout", "/chats/checkout.html", "/api/checkout.html"):
            self.assertFalse(fnmatchcase(path, checkout["PathPattern"]), path)

    def test_the_checkout_differs_from_other_pages_in_cashfrees_hosts_only(self):
        usual = content_security_policy("PageHeaders")
        for mode, hosts in {
            "sandbox": "https://sandbox.cashfree.com https://payments-test.cashfree.com",
            "production": "https://api.cashfree.com https://payments.cashfree.com",
        }.items():
            self.assertEqual(content_security_policy("CheckoutHeaders", mode), usual | {
                "script-src": "'self' https://sdk.cashfree.com",
                "connect-src": f"'self' {hosts}",
                "frame-src": hosts,
                "form-action": f"'self' {hosts}",
            }, mode)
        self.assertNotIn("cashfree", json.dumps(usual))
        policies = [
            source(EDGE)["Resources"][headers]["Properties"]["ResponseHeadersPolicyConfig"] for headers in ("PageHeaders", "CheckoutHeaders")]
        pages, checkout = (
            policy["SecurityHeadersConfig"] | {"ContentSecurityPolicy": None, "Custom": policy["CustomHeadersConfig"]} for policy in policies)
        self.assertEqual(checkout, pages)

    def test_the_apps_paths_serve_its_page_and_files_are_served_as_such(self):
        for uri, served in {
            "/": "/index.html", "/chats/0198": "/index.html", "/v1.2/chats": "/index.html",
            "/assets/app-3f2a.js": "/assets/app-3f2a.js", "/favicon.ico": "/favicon.ico",
        }.items():
            self.assertEqual(run_at_the_edge("PageFunction", {"uri": uri, "headers": {}})["uri"], served, uri)

    def test_pages_run_no_script_but_their_own_and_appear_in_no_frame(self):
        plain = content_security_policy("PageHeaders")
        for directive in ("default-src", "script-src", "style-src"):
            self.assertEqual(plain[directive], "'self'")
        self.assertEqual(plain["frame-ancestors"], "'none'")
        self.assertEqual(plain["connect-src"], "'self' ${UploadsOrigins}")
        self.assertEqual(plain["img-src"], "'self' data: blob: ${UploadsOrigins}")
