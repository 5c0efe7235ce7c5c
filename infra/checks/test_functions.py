"""The functions: their names, builds, limits, alarms and concurrency."""

import re
import unittest
import tomllib

from templates import NESTED, REPOSITORY, alternatives, as_list, function_names, name, resources, source, source_functions, transformed, walk

PATHS = {path.stem: path for path in NESTED}
SIZES = ("small", "medium", "large")
# The memory of AWS's instance classes, and RDS's formula for its default: LEAST(memory / 9531392, 5000).
MEMORY_GIB = {"db.t4g.micro": 1, "db.t4g.medium": 4, "db.m7g.large": 8}
BYTES_PER_CONNECTION = 9_531_392
# The units that one turn takes of Valkey while its model streams without a pause: about 40 scripts a second, of
# six commands each. A client that follows it takes less. How AWS counts a script's units can only be measured
# there.
UNITS_PER_STREAM = 240


def max_connections(size):
    """The most connections of Postgres at that size."""
    return source(PATHS["data"])["Mappings"]["Size"][size]["MaxConnections"]


def reserved(path, function, size):
    """The most concurrent executions of a function."""
    condition, value, otherwise = function["Properties"]["ReservedConcurrentExecutions"]["Fn::If"]
    assert condition == "Reserves" and otherwise == {"Ref": "AWS::NoValue"}
    if isinstance(value, int):
        return value
    table, _, key = value["Fn::FindInMap"]
    return source(path)["Mappings"][table][size][key]


# CloudWatch's limit for one alarm.
METRICS_PER_ALARM = 10


# Invoked asynchronously, so its failures are errors of the invocation, which Lambda counts.
FAILS_BY_ITSELF = {"${Name}-sweep"}


def failures_of(alarm):
    """The names of the functions whose crashes (as Lambda counts them) and reported failures an alarm sums up."""
    names = function_names()
    properties = alarm["Properties"]
    metrics = [found["MetricStat"]["Metric"] for found in properties.get("Metrics", []) if "MetricStat" in found]
    metrics = metrics or [{part: properties[part] for part in ("MetricName", "Dimensions")}]
    reported = {"OwnFailures": set(), "Errors": set()}
    for metric in metrics:
        kind = "OwnFailures" if metric["MetricName"] in ("InternalError", "MigrationFailed") else metric["MetricName"]
        reported.setdefault(kind, set()).update(
            value["Fn::Sub"] if "Fn::Sub" in value else names.get(value["Ref"])
            for value in (dimension["Value"] for dimension in metric["Dimensions"]) if isinstance(value, dict))
    return reported["Errors"] & (reported["OwnFailures"] | FAILS_BY_ITSELF)


def description(path, alarm):
    """What an alarm says: a text, or one from the template's mappings."""
    said = alarm["Properties"]["AlarmDescription"]
    if isinstance(said, str):
        return said
    table, row, column = said["Fn::FindInMap"]
    return source(path)["Mappings"][table][row][column]


def variables(function):
    """A function's environment."""
    return function["Properties"]["Environment"]["Variables"]


class Functions(unittest.TestCase):
    def test_folder_binary_crate_and_logical_id_agree(self):
        for path, logical_id, function in source_functions():
            binary = function["Metadata"]["BuildProperties"]["Binary"]
            folder = (path.parent / function["Properties"]["CodeUri"]).resolve()
            self.assertEqual(logical_id, "".join(word.capitalize() for word in binary.split("-")) + "Function")
            self.assertEqual(folder, REPOSITORY / "functions" / binary)
            self.assertEqual(function["Properties"]["FunctionName"], {"Fn::Sub": f"${{Name}}-{binary}"})
            self.assertEqual(function["Metadata"]["BuildMethod"], "rust-cargolambda")

    def test_every_crate_in_functions_is_deployed(self):
        crates = {tomllib.loads(file.read_text())["package"]["name"] for file in REPOSITORY.glob("functions/*/Cargo.toml")}
        deployed = {function["Metadata"]["BuildProperties"]["Binary"] for _, _, function in source_functions()}
        self.assertEqual(deployed, crates)

    def test_every_function_logs_json_to_a_group_of_its_own_with_a_retention_that_exists_before_it(self):
        groups = [
            (group["Properties"]["LogGroupName"]["Fn::Sub"], path, logical_id, group["Properties"])
            for path, logical_id, group in resources("AWS::Logs::LogGroup")]
        # With Lambda's default names, each once: a second group of the same name would fail the deploy.
        called = [group for group, *_ in groups if group.startswith("/aws/lambda/")]
        self.assertCountEqual(called, [f"/aws/lambda/{function}" for function in function_names().values()])
        groups = {group: rest for group, *rest in groups}
        root = source(REPOSITORY / "template.yaml")["Resources"]
        stacks = {
            REPOSITORY / stack["Properties"]["TemplateURL"]: logical_id
            for logical_id, stack in root.items() if stack["Type"] == "AWS::CloudFormation::Stack"}
        for path, logical_id, function in resources("AWS::Lambda::Function"):
            where, group_id, group = groups[f"/aws/lambda/{function['Properties']['FunctionName']['Fn::Sub']}"]
            self.assertEqual(group.get("RetentionInDays"), {"Ref": "LogRetentionDays"}, logical_id)
            self.assertEqual(root[stacks[where]]["Properties"]["Parameters"]["LogRetentionDays"], {"Ref": "LogRetentionDays"})
            logging = function["Properties"]["LoggingConfig"]
            self.assertEqual(logging["LogFormat"], "JSON", logical_id)
            if where == path:
                # The reference makes CloudFormation create it first.
                self.assertEqual(logging.get("LogGroup"), {"Ref": group_id}, logical_id)
                continue
            self.assertNotIn("LogGroup", logging, logical_id)
            self.assertIn(stacks[where], as_list(root[stacks[path]].get("DependsOn", [])), logical_id)
            for stack in (stacks[where], stacks[path]):
                self.assertEqual(root[stack]["Properties"]["Parameters"]["Name"], {"Ref": "Name"}, stack)

    def test_every_log_group_has_a_retention(self):
        for path, logical_id, group in resources("AWS::Logs::LogGroup"):
            self.assertIn("RetentionInDays", group["Properties"], f"{name(path)}: {logical_id}")

    def test_every_function_is_bounded_in_time_and_number(self):
        for path, logical_id, function in resources("AWS::Lambda::Function"):
            self.assertLessEqual(function["Properties"]["Timeout"], 900, logical_id)
            for size in SIZES:
                self.assertGreater(reserved(path, function, size), 0, logical_id)

    def test_every_function_has_an_alarm_that_notifies_the_operator(self):
        watched = set()
        for path, logical_id, alarm in resources("AWS::CloudWatch::Alarm"):
            self.assertEqual(alarm["Properties"]["AlarmActions"], [{"Ref": "AlarmTopic"}], logical_id)
            self.assertRegex(description(path, alarm), r"First: \w", logical_id)
            watched |= failures_of(alarm)
        for logical_id, called in function_names().items():
            self.assertIn(called, watched, logical_id)

    def test_throttling_of_every_function_that_serves_requests_is_an_alarm(self):
        seen = []
        for _, logical_id, alarm in resources("AWS::CloudWatch::Alarm"):
            metrics = [found["MetricStat"]["Metric"] for found in alarm["Properties"].get("Metrics", []) if "MetricStat" in found]
            self.assertLessEqual(len(metrics), METRICS_PER_ALARM, logical_id)
            for metric in metrics:
                [dimension] = metric["Dimensions"]
                if (metric["Namespace"], metric["MetricName"]) == ("AWS/Lambda", "Throttles"):
                    seen.append(dimension["Value"]["Fn::Sub"])
        # Not those of sweep: what one run misses, the next does.
        self.assertCountEqual(seen, set(function_names().values()) - {"${Name}-sweep"})

    def test_a_deploy_of_a_route_is_rolled_back_by_its_alarm(self):
        # Named, because they are in another template, which is deployed before.
        alarms = {
            alarm["Properties"]["AlarmName"]["Fn::Sub"]: alarm
            for _, _, alarm in resources("AWS::CloudWatch::Alarm", PATHS["function-monitoring"])}
        root = source(REPOSITORY / "template.yaml")["Resources"]
        self.assertIn("FunctionMonitoring", root["Api"]["DependsOn"])
        for stack in ("Api", "FunctionMonitoring"):
            self.assertEqual(root[stack]["Properties"]["Parameters"]["Name"], {"Ref": "Name"})
        for path, logical_id, alias in resources("AWS::Lambda::Alias"):
            function = alias["Properties"]["FunctionName"]["Ref"]
            update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
            group = transformed(path)["Resources"][update["DeploymentGroupName"]["Ref"]]["Properties"]
            [alarm] = group["AlarmConfiguration"]["Alarms"]
            self.assertIn(alarm["Name"]["Fn::Sub"], set(alarms), logical_id)
            self.assertEqual(failures_of(alarms[alarm["Name"]["Fn::Sub"]]), {function_names()[function]}, logical_id)

    def test_functions_leave_postgres_a_fifth_of_its_connections(self):
        for size in SIZES:
            # A pool for each URL: `orders` logs in as two roles.
            connections = {
                logical_id: reserved(path, function, size) * int(variables(function).get("DATABASE_POOL_SIZE", 1))
                * sum(variable.endswith("DATABASE_URL") for variable in variables(function))
                for path, logical_id, function in resources("AWS::Lambda::Function")
                if any(variable.endswith("DATABASE_URL") for variable in variables(function))
            }
            self.assertGreater(len(connections), 1)
            self.assertLessEqual(sum(connections.values()), 0.8 * max_connections(size), f"{size}: {connections}")

    def test_postgres_has_max_connections_as_mapped_and_memory_for_them(self):
        [(_, _, group)] = resources("AWS::RDS::DBParameterGroup")
        self.assertEqual(
            group["Properties"]["Parameters"]["max_connections"], {"Fn::FindInMap": ["Size", {"Ref": "Size"}, "MaxConnections"]})
        for size in SIZES:
            database_class = source(PATHS["data"])["Mappings"]["Size"][size]["DatabaseClass"]
            self.assertLessEqual(max_connections(size), MEMORY_GIB[database_class] * 2**30 // BYTES_PER_CONNECTION, size)

    def test_valkeys_limit_fits_the_live_logs_of_all_concurrent_streams(self):
        api, sizes = source(PATHS["api"])["Mappings"]["Concurrency"], source(PATHS["data"])["Mappings"]["Size"]
        for size in SIZES:
            self.assertLessEqual(api[size]["ChatStream"] * UNITS_PER_STREAM, 0.8 * sizes[size]["CacheUnitsPerSecond"], size)

    def test_full_reservation_alone_does_not_trigger_the_alarm_on_connections(self):
        for size in SIZES:
            threshold = source(PATHS["alarms"])["Mappings"]["Tight"][size]["Connections"]
            self.assertEqual(threshold, 0.85 * max_connections(size), size)

    def test_reserved_concurrency_fits_into_an_accounts_usual_limit(self):
        for size in SIZES:
            total = sum(reserved(path, function, size) for path, _, function in resources("AWS::Lambda::Function"))
            # AWS keeps 100 of 1000 for functions that reserve nothing.
            self.assertLessEqual(total, 900, size)

    def test_a_function_joins_the_security_groups_of_its_systems(self):
        functions = [*resources("AWS::Lambda::Function", PATHS["api"]), *resources("AWS::Lambda::Function", PATHS["async"])]
        for _, logical_id, function in functions:
            groups = {group["Ref"] for group in function["Properties"].get("VpcConfig", {}).get("SecurityGroupIds", [])}
            expected = {
                group
                for ending, group in (("DATABASE_URL", "DatabaseClients"), ("CACHE_URL", "CacheClients"))
                if any(variable.endswith(ending) for variable in variables(function))
            }
            self.assertEqual(groups - {"HttpsClients"}, expected, logical_id)

    def test_new_code_gets_requests_only_after_the_schema_is_up_to_date(self):
        root = source(REPOSITORY / "template.yaml")["Resources"]
        for stack in ("Api", "Async"):
            self.assertIn("Schema", as_list(root[stack]["DependsOn"]))
        [(_, _, schema)] = resources("Custom::Schema")
        self.assertEqual(schema["Properties"]["ServiceToken"], {"Fn::GetAtt": ["MigrateFunction", "Arn"]})
        self.assertRegex(schema["Properties"]["SchemaHash"], r"^[0-9a-f]{16}$")

    def test_only_the_function_that_migrates_knows_the_owners_password(self):
        for path, logical_id, function in resources("AWS::Lambda::Function"):
            knows = "DATABASE_OWNER" in variables(function)
            self.assertEqual(knows, logical_id == "MigrateFunction", logical_id)
        givers = [
            where[1] for where, value in walk(source(REPOSITORY / "template.yaml"))
            if value == {"Fn::GetAtt": ["Data", "Outputs.DatabaseOwnerSecret"]} or value == {"Fn::GetAtt": "Data.Outputs.DatabaseOwnerSecret"}
        ]
        self.assertEqual(givers, ["Schema"])

    def test_a_failed_scheduled_run_is_not_retried(self):
        scheduled = set()
        for path, logical_id, schedule in resources("AWS::Scheduler::Schedule"):
            properties = schedule["Properties"]
            [function, _] = properties["Target"]["Arn"]["Fn::GetAtt"]
            binary = source(path)["Resources"][function]["Metadata"]["BuildProperties"]["Binary"]
            self.assertEqual(properties["Name"], {"Fn::Sub": f"${{Name}}-{binary}"}, logical_id)
            # The scheduler passes it to Lambda's own queue, which retries as well.
            [queue] = [config["Properties"] for _, _, config in resources("AWS::Lambda::EventInvokeConfig", path)
                       if config["Properties"]["FunctionName"] == {"Ref": function}]
            for patience in (properties["Target"]["RetryPolicy"], queue):
                self.assertEqual(patience["MaximumRetryAttempts"], 0, logical_id)
                self.assertEqual(patience["MaximumEventAgeInSeconds"], 60, logical_id)
            scheduled.add(function)
        self.assertEqual(scheduled, {"SweepFunction"})

    def test_no_variable_holds_a_secret_itself(self):
        secret = re.compile(r"SECRET|KEY|PEPPER|PASSWORD|OWNER")
        for _, logical_id, function in resources("AWS::Lambda::Function"):
            for variable, value in variables(function).items():
                if variable == "VAULT_KEYS": # names of keys that do not leave KMS
                    self.assertEqual(value, {"Fn::Join": [" ", {"Ref": "VaultKeys"}]}, logical_id)
                elif secret.search(variable):
                    for branch in alternatives(value):
                        # Empty, or a reference.
                        reference = branch == "" or branch["Fn::Sub"].startswith("secret:$")
                        self.assertTrue(reference, f"{logical_id}: {variable}")
