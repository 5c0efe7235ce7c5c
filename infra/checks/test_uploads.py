"""Uploads: who may do what with users' files, the rules of their bucket, and its names in pages."""

import re
import unittest
from fnmatch import fnmatchcase
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config
from templates import NESTED, REPOSITORY, ROOT, as_list, resources, source, transformed
from test_edge import ALL_VIEWER_EXCEPT_HOST_HEADER, CACHING_DISABLED, behaviours, content_security_policy
from test_metrics import ALARMS, watched
from test_permissions import documents, text
from test_routes import alias_of, methods
from test_versions import evaluated

PATHS = {path.stem: path for path in NESTED}
SIZES = ("small", "medium", "large")
BUCKET = "arn:${AWS::Partition}:s3:::${Uploads}"
QUARANTINE, CLEAN = f"{BUCKET}/quarantine/*", f"{BUCKET}/clean/*"
# What each function may do: action, resource, condition.
BOTH_PREFIXES = {"StringLike": {"s3:prefix": ["quarantine/*", "clean/*"]}}
RIGHTS = {
    # The rights of the URLs that it signs.
    "PresignFunction": [("s3:GetObject", CLEAN, None), ("s3:PutObject", QUARANTINE, None)],
    "InspectFunction": [
        ("s3:DeleteObject", QUARANTINE, None), ("s3:DeleteObjectVersion", QUARANTINE, None), ("s3:GetObject", QUARANTINE, None),
        ("s3:PutObject", CLEAN, None)],
    "ChatStreamFunction": [("s3:GetObject", CLEAN, None)],
    "SweepFunction": [
        ("s3:DeleteObject", CLEAN, None), ("s3:DeleteObject", QUARANTINE, None),
        ("s3:DeleteObjectVersion", CLEAN, None), ("s3:DeleteObjectVersion", QUARANTINE, None),
        ("s3:ListBucketVersions", BUCKET, BOTH_PREFIXES)],
}
ROUTES = {
    ("/api/uploads", "post"): "PresignFunction",
    ("/api/uploads", "get"): "PresignFunction",
    ("/api/uploads/{id}", "get"): "PresignFunction",
    ("/api/uploads/{id}", "delete"): "PresignFunction",
    ("/api/uploads/{id}/file", "get"): "PresignFunction",
    ("/api/uploads/{id}/complete", "post"): "InspectFunction",
}
REGIONS = ("us-east-1", "ap-south-1", "eu-central-2")
# In the form of CloudFormation's own names.
NAME = "chat-data-1abcde2fghijk-uploads-l3mnopqrstuv"


def bucket():
    return source(PATHS["data"])["Resources"]["Uploads"]["Properties"]


def variables():
    """`(logical id, environment)` of the functions that know the bucket."""
    for _, logical_id, function in resources("AWS::Lambda::Function"):
        environment = function["Properties"]["Environment"]["Variables"]
        if "UPLOADS_BUCKET" in environment:
            yield logical_id, environment


def rules(identifier):
    [rule] = [rule for rule in bucket()["LifecycleConfiguration"]["Rules"] if rule["Id"] == identifier]
    return rule


def holds(condition, request):
    """Whether a request meets a condition of the bucket's policy; knows those that it has."""
    (operator, keys), = condition.items()
    (key, value), = keys.items()
    return {
        ("Bool", "aws:SecureTransport"): lambda: request.get("tls", True) == value,
        ("NumericGreaterThan", "s3:signatureAge"): lambda: request.get("age", 0) > value,
        ("Null", "s3:if-none-match"): lambda: ("if-none-match" not in request) == value,
    }[operator, key]()


def denied_by(action, key, **request):
    """The statements of the bucket's policy that deny a request about an object."""
    request = {name.replace("_", "-"): value for name, value in request.items()}
    policy = source(PATHS["data"])["Resources"]["UploadsPolicy"]["Properties"]["PolicyDocument"]
    return [
        statement["Sid"] for statement in policy["Statement"]
        if statement["Effect"] == "Deny" and statement["Principal"] == "*"
        and any(fnmatchcase(action, pattern) for pattern in as_list(statement["Action"]))
        and any(
            fnmatchcase(f"/{key}", text(resource).removeprefix("${Uploads.Arn}"))
            for resource in as_list(statement["Resource"]) if isinstance(text(resource), str))
        and holds(statement["Condition"], request)]


def signed_put(region, dual_stack):
    """A URL for a PUT as `presign` signs it, for the host that AWS's rules for all its SDKs say."""
    config = Config(
        signature_version="s3v4", use_dualstack_endpoint=dual_stack, request_checksum_calculation="when_required",
        ignore_configured_endpoint_urls=True,
        # As the SDK for Rust does, which knows no global endpoint unless it is told.
        s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"})
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="hunter2", region_name=region)
    declared = {"ContentType": "image/png", "ContentLength": 14, "ChecksumSHA256": 43 * "A" + "=", "IfNoneMatch": "*"}
    return urlsplit(session.client("s3", config=config).generate_presigned_url(
        "put_object", Params={"Bucket": NAME, "Key": "quarantine/a/b", **declared}))


def signs_dual_stack(environment, ipv6_only):
    """Whether a function with this environment uses the dual-stack names, where functions have IPv6 only or not."""
    known = {"Ipv6Only": ipv6_only, "AWS::NoValue": None}
    return evaluated(environment["AWS_USE_DUALSTACK_ENDPOINT"], source(PATHS["api"]), known) == "true"


def origins_in_pages(headers, directive, region):
    """The origins that a page's policy names, with the bucket's as CloudFormation returns them."""
    known = {
        "Uploads.RegionalDomainName": f"{NAME}.s3.{region}.amazonaws.com",
        "Uploads.DualStackDomainName": f"{NAME}.s3.dualstack.{region}.amazonaws.com",
    }
    output = source(PATHS["data"])["Outputs"]["UploadsOrigins"]["Value"]
    policy = content_security_policy(headers, "sandbox")[directive]
    return policy.replace("${UploadsOrigins}", evaluated(output, source(PATHS["data"]), known)).split()


def alarm(logical_id):
    [found] = [found["Properties"] for _, known, found in resources("AWS::CloudWatch::Alarm", ALARMS) if known == logical_id]
    return found


def code_of(function):
    """The code of the function with this name in the template, such as `${Name}-sweep`."""
    folder = REPOSITORY / "functions" / function.removeprefix("${Name}-") / "src"
    return "".join(file.read_text() for file in folder.glob("**/*.rs"))


class Uploads(unittest.TestCase):
    def test_each_function_may_do_its_part_and_only_sweep_may_list(self):
        for path, logical_id, function in resources("AWS::Lambda::Function"):
            statements = [
                statement for document in documents(path, function) for statement in document["Statement"]
                if any(action.startswith("s3:") for action in as_list(statement["Action"]))]
            self.assertEqual({statement["Effect"] for statement in statements} - {"Allow"}, set(), logical_id)
            rights = [
                (action, text(resource), statement.get("Condition"))
                for statement in statements for action in as_list(statement["Action"]) for resource in as_list(statement["Resource"])]
            self.assertEqual(sorted(rights, key=str), sorted(RIGHTS.get(logical_id, []), key=str), logical_id)

    def test_the_functions_with_rights_know_the_bucket_and_no_others_do(self):
        self.assertEqual({logical_id: environment["UPLOADS_BUCKET"] for logical_id, environment in variables()},
                         {logical_id: {"Ref": "Uploads"} for logical_id in RIGHTS})
        root = source(ROOT)["Resources"]
        for stack in ("Api", "Async"):
            self.assertEqual(root[stack]["Properties"]["Parameters"]["Uploads"], {"Fn::GetAtt": ["Data", "Outputs.Uploads"]}, stack)
        self.assertEqual(source(PATHS["data"])["Outputs"]["Uploads"]["Value"], {"Ref": "Uploads"})

    def test_s3_encrypts_with_a_key_that_needs_no_rights(self):
        # With a KMS key, readers would need kms:Decrypt, and signers of uploads kms:GenerateDataKey.
        self.assertEqual(
            bucket()["BucketEncryption"]["ServerSideEncryptionConfiguration"], [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}])

    def test_routes_that_start_fast_and_the_one_that_decodes_are_apart(self):
        routes = {(path, method): alias_of(operation).removesuffix("Aliaslive") for path, method, operation in methods() if "/uploads" in path}
        self.assertEqual(routes, ROUTES)
        functions = transformed(PATHS["api"])["Resources"]
        memory = {function: functions[function]["Properties"]["MemorySize"] for function in set(ROUTES.values())}
        self.assertGreaterEqual(memory["InspectFunction"], 1536)
        self.assertLess(memory["PresignFunction"], memory["InspectFunction"])

    def test_larger_sizes_have_shares_of_connections_in_proportion(self):
        concurrency = source(PATHS["api"])["Mappings"]["Concurrency"]
        for times, size in zip((1, 4, 8), SIZES):
            self.assertEqual((concurrency[size]["Presign"], concurrency[size]["Inspect"]), (8 * times, 4 * times), size)


class Bucket(unittest.TestCase):
    def test_a_put_into_quarantine_replaces_nothing(self):
        self.assertEqual(denied_by("s3:PutObject", "quarantine/a/b", if_none_match="*"), [])
        # Parts of a multipart upload, and copies, are a PutObject without the header, too.
        self.assertEqual(denied_by("s3:PutObject", "quarantine/a/b"), ["OnlyOnce"])

    def test_an_inspected_file_may_be_copied_and_written_again(self):
        # S3 refuses each CopyObject to where the header is demanded. An inspection that is repeated writes the same files.
        self.assertEqual(denied_by("s3:PutObject", "clean/a/b/model"), [])

    def test_signatures_age_and_need_tls(self):
        for action, key in (("s3:PutObject", "quarantine/a/b"), ("s3:GetObject", "clean/a/b/view")):
            self.assertEqual(denied_by(action, key, if_none_match="*", age=600_000), [], action)
            self.assertEqual(denied_by(action, key, if_none_match="*", age=600_001), ["OnlyFreshSignatures"], action)
            self.assertEqual(denied_by(action, key, if_none_match="*", tls=False), ["OnlyTls"], action)

    def test_what_nobody_waits_for_expires(self):
        self.assertEqual(rules("quarantine"), {
            "Id": "quarantine", "Status": "Enabled", "Prefix": "quarantine/", "ExpirationInDays": 1,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
        self.assertEqual(rules("replaced"), {
            "Id": "replaced", "Status": "Enabled", "Prefix": "clean/", "ExpiredObjectDeleteMarker": True,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7}})
        self.assertEqual(rules("parts"), {"Id": "parts", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}})
        # No other rule may expire what users keep.
        self.assertEqual(len(bucket()["LifecycleConfiguration"]["Rules"]), 3)

    def test_pages_of_the_app_may_put_with_the_signed_headers_and_nothing_else(self):
        [rule] = bucket()["CorsConfiguration"]["CorsRules"]
        self.assertEqual((rule["AllowedMethods"], rule["AllowedOrigins"]), (["PUT"], [{"Ref": "AppOrigin"}]))
        [signed] = parse_qs(signed_put("ap-south-1", False).query)["X-Amz-SignedHeaders"]
        # Browsers set these two themselves, and ask for neither.
        self.assertEqual(set(rule["AllowedHeaders"]), set(signed.split(";")) - {"host", "content-length"})

    def test_the_network_reaches_the_bucket_without_a_nat(self):
        network = source(PATHS["network"])["Resources"]
        endpoint = network["S3Endpoint"]["Properties"]
        self.assertEqual((endpoint["ServiceName"], endpoint["VpcEndpointType"]), ({"Fn::Sub": "com.amazonaws.${AWS::Region}.s3"}, "Gateway"))
        private = [
            association["Properties"]["RouteTableId"] for _, _, association in resources("AWS::EC2::SubnetRouteTableAssociation", PATHS["network"])
            if association["Properties"]["SubnetId"]["Ref"].startswith("Private")]
        self.assertEqual(len(private), 2)
        self.assertCountEqual(endpoint["RouteTableIds"], private)


class Pages(unittest.TestCase):
    def test_pages_may_reach_every_host_for_which_functions_sign(self):
        # Also both at once: while a deploy with another NatMode is gradual, and in pages that were opened before it.
        signed = {signs_dual_stack(environment, ipv6_only) for _, environment in variables() for ipv6_only in ("true", "false")}
        self.assertEqual(signed, {True, False})
        for region in REGIONS:
            for dual_stack in signed:
                url = signed_put(region, dual_stack)
                for headers, directive in (("PageHeaders", "connect-src"), ("PageHeaders", "img-src"), ("CheckoutHeaders", "img-src")):
                    self.assertIn(f"{url.scheme}://{url.netloc}", origins_in_pages(headers, directive, region), f"{headers} {directive}")
        given = source(ROOT)["Resources"]["Edge"]["Properties"]["Parameters"]
        self.assertEqual(given["UploadsOrigins"], {"Fn::GetAtt": ["Data", "Outputs.UploadsOrigins"]})

    def test_all_functions_sign_for_the_same_host(self):
        for ipv6_only in ("true", "false"):
            signed = {signs_dual_stack(environment, ipv6_only) for _, environment in variables()}
            self.assertEqual(signed, {ipv6_only == "true"})

    def test_a_redirect_to_a_file_is_not_cached_and_has_its_query(self):
        for path, _ in ROUTES:
            first = next(found for found in behaviours() if fnmatchcase(path.replace("{id}", "0198"), found["PathPattern"]))
            self.assertEqual(first["TargetOriginId"], "api", path)
            # CachingDisabled alone would drop the query, `as=thumb`.
            self.assertEqual((first["CachePolicyId"], first["OriginRequestPolicyId"]), (CACHING_DISABLED, ALL_VIEWER_EXCEPT_HOST_HEADER), path)


class Alarms(unittest.TestCase):
    def test_each_metric_is_of_the_function_that_counts_it(self):
        of_uploads = {(metric, function) for metric, function in watched() if metric.startswith("Upload")}
        self.assertEqual(of_uploads, {("UploadRefused", "${Name}-inspect"), ("UploadsNotRemoved", "${Name}-sweep")})
        for metric, function in of_uploads:
            self.assertIn(f'"{metric}"', code_of(function), function)

    def test_many_refusals_within_an_hour_are_an_alarm(self):
        refused = alarm("UploadsRefused")
        self.assertEqual((refused["MetricName"], refused["Statistic"], refused["Period"]), ("UploadRefused", "Sum", 3600))
        self.assertEqual(refused["Threshold"], {"Fn::FindInMap": ["Tight", {"Ref": "Size"}, "RefusedUploads"]})
        thresholds = [source(ALARMS)["Mappings"]["Tight"][size]["RefusedUploads"] for size in SIZES]
        self.assertEqual(thresholds, [50, 200, 400])

    def test_a_file_that_is_never_removed_is_an_alarm(self):
        stuck = alarm("UploadsNotRemoved")
        self.assertEqual((stuck["MetricName"], stuck["Statistic"], stuck["Threshold"]), ("UploadsNotRemoved", "Sum", 1))
        # Each period has to have a try, or one file alone would never be an alarm.
        job = (REPOSITORY / "shared/postgres/src/uploads/removal.rs").read_text()
        [minutes] = re.findall(r"removal_at = \$3 \+ interval '(\d+) minutes'", job)
        self.assertGreater(stuck["Period"], (int(minutes) + 1) * 60)
        self.assertEqual(stuck["Period"] * stuck["DatapointsToAlarm"], 3600)
        self.assertEqual(stuck["DatapointsToAlarm"], stuck["EvaluationPeriods"])


class PdfEngine(unittest.TestCase):
    def test_reading_pdfs_costs_the_platform_nothing_by_default(self):
        parameter = source(ROOT)["Parameters"]["PdfEngine"]
        self.assertEqual(parameter["Default"], "cloudflare-ai")
        code = (REPOSITORY / "shared/openrouter/src/config.rs").read_text()
        self.assertEqual(set(parameter["AllowedValues"]), set(re.findall(r'"([a-z-]+)" => Ok\(Self::', code)))

    def test_only_the_chat_reads_them(self):
        readers = {
            logical_id: function["Properties"]["Environment"]["Variables"]["PDF_ENGINE"]
            for _, logical_id, function in resources("AWS::Lambda::Function") if "PDF_ENGINE" in function["Properties"]["Environment"]["Variables"]}
        self.assertEqual(readers, {"ChatStreamFunction": {"Ref": "PdfEngine"}})
        self.assertEqual(source(ROOT)["Resources"]["Api"]["Properties"]["Parameters"]["PdfEngine"], {"Ref": "PdfEngine"})
