"""What spark-submit starts: the options of `al3spark ingest`, with the session of the cluster."""

import sys

from al3spark.cli import main

if __name__ == "__main__":
    main(["ingest", *sys.argv[1:]])
