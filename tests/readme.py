"""What the README tells to type: shell commands, and the SQL of its walk-through with the results shown."""

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()
_BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# Joined lines, comments cut: what a person would type.
COMMANDS = [
    line.partition("  #")[0].strip()
    for kind, block in _BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if not kind and re.match(r"(scripts/|\.venv/bin/|(aws|mkdir|spark-submit|tar) )", line)
]
(WALK,) = re.findall(r"^## An analyst's first half hour\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
# Those of the walk-through need each other.
WALK_COMMANDS = [each for each in COMMANDS if each in WALK and each.startswith(".venv/bin/al3spark ")]
# SQL, and the Markdown table of its result, which follows.
QUESTIONS: list[tuple[str, str]] = re.findall(
    r"^```sql\n(.*?)^```\n[^`]*?((?:^\|[^\n]*\n)+)", WALK, re.MULTILINE | re.DOTALL
)
