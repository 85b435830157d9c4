"""Ingest what came since the last run, every night, on EMR Serverless.

Needs Airflow on Python 3.11 with the Amazon provider, and a variable of it named `al3spark`, a JSON object:

    {"application_id": "APPLICATION_ID", "job_role": "arn:aws:iam::ACCOUNT_ID:role/JOB_ROLE",
     "code": "s3://CODE_BUCKET/al3spark"}

Below `code` lie environment.tar.gz, ingest.py and batch.json, as the README's part on EMR puts them there.
A run that failed or was killed needs no repair: trying again is the resume. One run at a time: a second one
would only be told who holds the lock. With `--strict` among the arguments set `retries=0`: a second try does
not read again what failed in the first, and ends well.
"""

from datetime import UTC, datetime, timedelta

from airflow import DAG
from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator

CODE = "{{ var.json.al3spark.code }}"
SETTINGS = {
    "spark.archives": f"{CODE}/environment.tar.gz#environment",
    "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": "./environment/bin/python",
    "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": "./environment/bin/python",
    "spark.executorEnv.PYSPARK_PYTHON": "./environment/bin/python",
    "spark.executor.cores": "4",
    "spark.executor.memory": "5g",
    "spark.executor.memoryOverhead": "6g",
    "spark.driver.cores": "2",
    "spark.driver.memory": "2g",
    "spark.driver.memoryOverhead": "3g",
    "spark.speculation": "true",
    "spark.speculation.multiplier": "3",
    "spark.speculation.quantile": "0.9",
    "spark.python.worker.faulthandler.enabled": "true",
}

PARAMETERS = " ".join(f"--conf {name}={value}" for name, value in SETTINGS.items())

with DAG(
    "al3spark_ingest",
    schedule="15 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["al3spark"],
) as dag:
    EmrServerlessStartJobOperator(
        task_id="ingest",
        application_id="{{ var.json.al3spark.application_id }}",
        execution_role_arn="{{ var.json.al3spark.job_role }}",
        job_driver={
            "sparkSubmit": {
                "entryPoint": f"{CODE}/ingest.py",
                "entryPointArguments": ["--request", f"{CODE}/batch.json"],
                "sparkSubmitParameters": PARAMETERS,
            }
        },
        retries=1,
        retry_delay=timedelta(minutes=10),
        waiter_delay=60,
        waiter_max_attempts=12 * 60,
    )
