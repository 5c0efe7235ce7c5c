"""The product's own metrics: alarms and the dashboard use only metrics that the code emits."""

import json
import re
import unittest

from templates import NESTED, REPOSITORY, function_names, resources, walk

[ALARMS] = [path for path in NESTED if path.stem == "alarms"]
NAMESPACE = "Chat"
# AWS charges for a dashboard that shows more.
FREE_METRICS = 50


def dashboards():
    """`(logical id, lines)` of each dashboard: a line is a metric, as the dashboard writes it."""
    for _, logical_id, dashboard in resources("AWS::CloudWatch::Dashboard", ALARMS):
        body = json.loads(dashboard["Properties"]["DashboardBody"]["Fn::Sub"])
        yield logical_id, [line for widget in body["widgets"] for line in widget["properties"]["metrics"]]


def watched():
    """`(metric, function)` of each of our metrics that an alarm or the dashboard shows."""
    names = function_names()
    for _, _, alarm in resources("AWS::CloudWatch::Alarm"):
        for _, value in walk(alarm["Properties"]):
            if isinstance(value, dict) and value.get("Namespace") == NAMESPACE:
                [dimension] = value["Dimensions"]
                assert dimension["Name"] == "Function", dimension
                function = dimension["Value"]
                yield value["MetricName"], names[function["Ref"]] if "Ref" in function else function["Fn::Sub"]
    for _, lines in dashboards():
        for value in lines:
            if value[0] == NAMESPACE:
                _, metric, dimension, function, *_ = value
                assert dimension == "Function", value
                yield metric, function


class Metrics(unittest.TestCase):
    def test_no_dashboard_has_more_metrics_than_are_free(self):
        for logical_id, lines in dashboards():
            self.assertLessEqual(len(lines), FREE_METRICS, logical_id)

    def test_every_metric_is_of_a_function_that_exists(self):
        for metric, function in watched():
            self.assertIn(function, function_names().values(), metric)

    def test_every_metric_is_emitted_by_the_code(self):
        code = "".join(
            file.read_text() for folder in ("shared", "functions") for file in (REPOSITORY / folder).glob("*/src/**/*.rs"))
        counted = set(re.findall(r'"([A-Z][A-Za-z]+)"', code))
        metrics = {metric for metric, _ in watched()}
        self.assertTrue(metrics)
        self.assertEqual(metrics - counted, set())
