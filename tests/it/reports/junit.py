"""Holds JUnit reports against the published schema, and prints what a reader of that dialect makes of each."""

import json
import sys

import xmlschema
from junitparser import Error, Failure
from junitparser.xunit2 import JUnitXml


def told(path):
    report = JUnitXml.fromfile(path)
    suites = []
    for suite in report:
        cases = list(suite)
        ends = [result for case in cases for result in case.result]
        interim = [result for case in cases for result in case.interim_result]
        suites.append({
            "name": suite.name,
            "said": [suite.tests, suite.failures, suite.errors, suite.skipped, suite.time],
            "counted": [
                len(cases),
                sum(isinstance(end, Failure) for end in ends),
                sum(isinstance(end, Error) for end in ends),
                sum(case.is_skipped for case in cases),
                round(sum(case.time for case in cases), 3),
            ],
            "cases": [case.name for case in cases],
            "types": sorted(end.type for end in ends),
            "interim": sorted(f"{result._tag} {result.type}" for result in interim),
        })
    return {"said": [report.tests, report.failures, report.errors, report.time], "suites": suites}


schema = xmlschema.XMLSchema(sys.argv[1])
for path in sys.argv[2:]:
    schema.validate(path)
    print(json.dumps(told(path)))
