"""What to do next, as data: the signs that a job shows, and the advice for each.

A sign is a status of the job, a fault code, or a word of `advice.find_signs`. In braces stand names of what
is known then: `count` of `thing`, `where`, `reason` and others in texts; `source`, `destination`, `job`,
`code`, `file`, `group` in commands, each as one word of a shell, and `options`, all that the job had. The
order is that of the page, the most pressing first.
"""

from dataclasses import dataclass

NOTHING, OTHER = "nothing", "other"


@dataclass(frozen=True, slots=True)
class Rule:
    """What to say where one of the signs shows. `thing`: what is counted."""

    signs: tuple[str, ...]
    title: str
    text: str
    commands: tuple[str, ...] = ()
    thing: str = "file"


_INGEST = "al3spark ingest {source} {destination}{options}"
_ERRORS = "al3spark errors {destination} {job} --code {code}"
_INSPECT = "al3spark inspect {file}"

RULES = (
    Rule(
        ("stalled",),
        "Bring the job to an end",
        "It has shown no sign of life since {heartbeat}. If its process is gone, this settles what it left; "
        "the next run does so, too.",
        ("al3spark recover {destination}",),
    ),
    Rule(
        ("processing", "queued"),
        "Follow it",
        "The job is running. This page shows how far it was at {seen}.",
        ("al3spark status {destination} {job} --watch", "al3spark cancel {destination} {job}"),
    ),
    Rule(
        ("cancelled",),
        "Run it again",
        "What it had published stays. The same request goes on where this one stopped.",
        (_INGEST,),
    ),
    Rule(
        ("broken off",),
        "Mend what stopped it, then run it again",
        "{reason}Nothing of the chunk at hand is published. The same request goes on where this one stopped.",
        (_INGEST,),
    ),
    Rule(
        ("unfinished",),
        "Make up for what came after the tables",
        "All rows are published, but then: {reason}. If CSV files were asked for, this makes them:",
        ("al3spark export {destination} --format csv --job {job}",),
    ),
    Rule(
        ("stopped",),
        "Look at the files that failed",
        "The job stopped because {reason}. Nothing of chunk {chunk} is published. Mend these files or move "
        "them away, or allow for more (on_error, max_failed_files, max_failed_ratio); then run it again.",
        (_INGEST,),
    ),
    Rule(
        ("FILE_CHANGED",),
        "Run it again when the files are still",
        "{count} changed while being read. The next run takes up what changed by itself.",
        (_INGEST,),
    ),
    Rule(
        ("FILE_UNREADABLE",),
        "Mend what cannot be read, or ask for it again",
        "{count} could not be opened: a damaged or encrypted archive, or no permission. New versions are "
        "read by themselves, the same ones on request:",
        (f"{_INGEST} --reprocess failed",),
    ),
    Rule(
        ("FILE_EMPTY",),
        "Ask for the empty files again",
        "{count} had no bytes; the transfer may have failed. New versions are read by themselves.",
    ),
    Rule(
        ("FILE_NOT_AL3",),
        "Keep other files out of the source",
        "{count} held no AL3 record. If they do not belong there, move them, or name those that do:",
        (f"{_INGEST} --pattern '*.al3'",),
    ),
    Rule(
        ("FILE_CRASHED_WORKER",),
        "See why a file ends the process that parses it",
        "{count} did so. If memory ran out, give Spark's executors more (spark.executor.memoryOverhead) and "
        "try once more; if not, please report it.",
        (f"{_INGEST} --reprocess failed",),
    ),
    Rule(
        ("BYTES_UNREADABLE", "LENGTH_INVALID", "RECORD_TRUNCATED", "TRANSACTION_UNCERTAIN"),
        "Ask for the damaged files again",
        "In {count} bytes are no record, or a record ends too soon. Files are often cut, or their line ends "
        "changed, on the way; compare the offsets below with the sender's copy.",
        (_INSPECT,),
        "place",
    ),
    Rule(
        ("GROUP_UNMAPPED",),
        "Add the layouts that are missing",
        "There is no layout for {where}; their records are kept raw in unmapped_groups. See what the "
        "dictionary lacks, lay your own over it, and read this job once more:",
        (
            "al3spark dictionary coverage {source}",
            f"{_INGEST} --dictionary my-dictionary --reprocess {{job}}",
        ),
    ),
    Rule(
        ("GROUP_TOO_SHORT",),
        "Compare the layout with what is sent",
        "{count} ended inside an element, mostly in {where}. The sender's layout is another one, or the "
        "record was cut.",
        ("al3spark dictionary show {group}", _ERRORS),
        "record",
    ),
    Rule(
        ("VALUE_INVALID",),
        "Look at the values that do not fit",
        "{count} did not fit, mostly in {where}; null stands in the tables instead. Where an element fails "
        "in all files of a sender, its layout is another one.",
        (_INSPECT, _ERRORS),
        "value",
    ),
    Rule(
        ("RECORD_OUTSIDE_TRANSACTION", "PARENT_MISSING", "PARENT_ITERATION_MISMATCH"),
        "Mind records without a parent in joins",
        "{count} named a parent that is not there as named, or stood in no transaction. The rows are in the "
        "tables; a join by parent_offset may miss them.",
        (_ERRORS,),
        "record",
    ),
    Rule(
        ("POLICY_NOT_FOUND",),
        "Do not look for these transactions by policy number",
        "{count} had no 5BPI within 8 MiB: policy number and line of business are null in their records.",
        (_ERRORS,),
        "transaction",
    ),
    Rule(
        ("TRAILER_MISSING",),
        "See whether files are cut",
        "{count} had no trailer (3MTG): the end of the file is missing, or its sender writes none.",
        (_ERRORS,),
        "message",
    ),
    Rule(
        ("TRAILER_COUNT_MISMATCH",),
        "Compare record counts if records seem to be missing",
        "The trailer of {count} counts something else than what is there. Many senders get this wrong.",
        (_ERRORS,),
        "message",
    ),
    Rule(
        (OTHER,),
        "Look at the other faults",
        "{count}: {where}.",
        ("al3spark errors {destination} {job}",),
        "fault",
    ),
    Rule(
        ("too young",),
        "Run it again for the files that were too young",
        "{count} changed less than {age} s before the run. The next run reads what is still by then.",
        (_INGEST, f"{_INGEST} --min-age-s 0"),
    ),
    Rule(
        ("not archived",),
        "See why files could not be moved to the archive",
        "{count} stayed in place; the next run tries again. The first: {reason}.",
    ),
    Rule(
        (NOTHING,),
        "Nothing to mend",
        "All is read, and nothing is wrong with it. SQL for a view of each table:",
        ("al3spark views {destination}",),
    ),
)
