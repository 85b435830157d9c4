"""The places: disks, S3 later, behind one interface; on it staging, plans, lock, ledger and documents."""
