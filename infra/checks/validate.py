"""`sam validate --lint` for many templates in one process: starting it takes longer than the validation."""

import sys

from samcli.cli.main import cli


def is_valid(template):
    """Whether SAM's command accepts a template; it prints its own errors."""
    try:
        cli.main(["validate", "--lint", "--template", template], standalone_mode=False)
    except Exception as problem:  # each kind of failure has a class of its own
        print(f"{template}: {problem}")
        return False
    return True


if __name__ == "__main__":
    sys.exit(0 if all([is_valid(template) for template in sys.argv[1:]]) else 1)
