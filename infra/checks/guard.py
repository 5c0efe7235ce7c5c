"""Runs cfn-guard's rules (rules.guard) on the templates, as written and as transformed."""

import json
import sys

# The package's own wrapper fails on rules with an `or`; the extension inside it does not.
from cfn_guard_rs.cfn_guard_rs import run_checks_rs

from templates import REPOSITORY, forms, name, walk

RULES = (REPOSITORY / "infra/rules.guard").read_text()


def broken(template):
    """The rules that a template breaks, each with Guard's message."""
    report = json.loads(run_checks_rs(json.dumps(template), RULES, False))
    for failure in report["not_compliant"]:
        says = [
            value[key].strip()
            for _, value in walk(failure)
            if isinstance(value, dict)
            for key in ("custom_message", "error_message")
            if value.get(key)
        ]
        yield failure["Rule"]["name"], says


def applicable(template):
    """The rules that match a resource in a template."""
    report = json.loads(run_checks_rs(json.dumps(template), RULES, False))
    return {*report["compliant"], *(failure["Rule"]["name"] for failure in report["not_compliant"])}


def main():
    held = True
    idle = {line.split()[1] for line in RULES.splitlines() if line.startswith("rule ")}
    for path, form, template in forms():
        idle -= applicable(template)
        for rule, says in broken(template):
            held = False
            print(f"{name(path)}, {form}: {rule}", *says, sep="\n  ")
    # A rule that matches no resource always holds.
    for rule in sorted(idle):
        held = False
        print(f"infra/rules.guard: {rule} finds nothing to look at")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
