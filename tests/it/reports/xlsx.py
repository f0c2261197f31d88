"""Prints what openpyxl reads of a workbook: for each sheet its name, frozen pane, filter, and every cell as a text."""

import datetime
import json
import re
import sys

import openpyxl


def shown(cell):
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        assert cell.is_date and cell.number_format.endswith('"Z"'), cell.number_format
        return value.isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, int):
        assert cell.data_type == "n", cell.data_type
        return str(value)
    assert cell.data_type in ("s", "inlineStr"), f"{cell.coordinate} is {cell.data_type}: {value!r}"
    # ECMA-376 Part 1, 22.9.2.19; openpyxl leaves it as it stands.
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda code: chr(int(code[1], 16)), value)


path = sys.argv[1]
whole = openpyxl.load_workbook(path)
streamed = openpyxl.load_workbook(path, read_only=True)
for name in whole.sheetnames:
    sheet = whole[name]
    print(json.dumps({
        "name": name,
        "frozen": sheet.freeze_panes,
        "filter": sheet.auto_filter.ref,
        "quoted": [cell.coordinate for row in sheet for cell in row if cell.quotePrefix],
        "rows": [[shown(cell) for cell in row] for row in sheet],
        "streamed": sum(1 for _ in streamed[name].rows),
    }))
print(json.dumps({"created": whole.properties.created.isoformat() + "Z"}))
