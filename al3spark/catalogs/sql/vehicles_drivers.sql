-- vehicles_drivers: one row for each vehicle and each of its drivers, or one without a driver if it has none.
-- assigned_by tells who says so. vehicle: the number of the driver is in its 6PVH. driver: the 6PDR of the driver
-- names it as principally driven. transaction: neither, for any driver, so it has all drivers of its transaction.
-- unknown: numbers are in its 6PVH, but no driver of its transaction has one of them or names it. Number 0 is none.
WITH pairs AS (
    SELECT
        v.job_id,
        v.file_id,
        v.record_offset AS vehicle_offset,
        d.record_offset AS driver_offset,
        MAX(
            CASE COALESCE(d.company_drivers_number, d.agency_drivers_number)
                WHEN pd.driver_number1 THEN pd.driver_1_percent
                WHEN pd.driver_number2 THEN pd.driver_2_percent
                WHEN pd.driver_number3 THEN pd.driver_3_percent
                WHEN pd.driver_number4 THEN pd.driver_4_percent
                WHEN pd.driver_number5 THEN pd.driver_5_percent
                WHEN pd.driver_number6 THEN pd.driver_6_percent
            END
        ) AS driver_percent,
        MAX(
            CASE
                WHEN COALESCE(d.company_drivers_number, d.agency_drivers_number) IN (
                    pd.driver_number1,
                    pd.driver_number2,
                    pd.driver_number3,
                    pd.driver_number4,
                    pd.driver_number5,
                    pd.driver_number6
                ) THEN 1
                ELSE 0
            END
        ) AS by_vehicle,
        MAX(
            CASE
                WHEN ds.vehicle_principally_driven
                    = COALESCE(v.company_vehicle_number, v.agency_vehicle_number) THEN 1
                ELSE 0
            END
        ) AS by_driver,
        MAX(
            CASE
                WHEN pd.driver_number1 <> 0
                    OR pd.driver_number2 <> 0
                    OR pd.driver_number3 <> 0
                    OR pd.driver_number4 <> 0
                    OR pd.driver_number5 <> 0
                    OR pd.driver_number6 <> 0 THEN 1
                ELSE 0
            END
        ) AS lists_drivers
    FROM vehicles AS v
    JOIN current_files AS c ON c.job_id = v.job_id AND c.file_id = v.file_id
    LEFT JOIN drivers AS d
        ON d.job_id = v.job_id AND d.file_id = v.file_id AND d.transaction_offset = v.transaction_offset
    LEFT JOIN vehicle_physical_damage AS pd
        ON pd.job_id = v.job_id AND pd.file_id = v.file_id AND pd.parent_offset = v.record_offset
    LEFT JOIN driver_supplements AS ds
        ON ds.job_id = d.job_id AND ds.file_id = d.file_id AND ds.parent_offset = d.record_offset
    GROUP BY v.job_id, v.file_id, v.record_offset, d.record_offset
),
judged AS (
    SELECT
        p.job_id,
        p.file_id,
        p.vehicle_offset,
        p.driver_offset,
        p.driver_percent,
        p.by_vehicle,
        p.by_driver,
        p.lists_drivers,
        MAX(p.by_vehicle + p.by_driver) OVER (
            PARTITION BY p.job_id, p.file_id, p.vehicle_offset
        ) AS named,
        ROW_NUMBER() OVER (
            PARTITION BY p.job_id, p.file_id, p.vehicle_offset ORDER BY p.driver_offset
        ) AS place
    FROM pairs AS p
),
chosen AS (
    SELECT
        j.job_id,
        j.file_id,
        j.vehicle_offset,
        CASE WHEN j.named > 0 OR j.lists_drivers = 0 THEN j.driver_offset END AS driver_offset,
        j.driver_percent,
        CASE
            WHEN j.by_vehicle = 1 THEN 'vehicle'
            WHEN j.by_driver = 1 THEN 'driver'
            WHEN j.lists_drivers = 1 THEN 'unknown'
            WHEN j.driver_offset IS NOT NULL THEN 'transaction'
        END AS assigned_by
    FROM judged AS j
    WHERE j.by_vehicle + j.by_driver > 0
        OR (j.named = 0 AND (j.lists_drivers = 0 OR j.place = 1))
)
SELECT
    v.job_id,
    v.file_id,
    v.transaction_offset,
    v.record_offset AS vehicle_offset,
    ch.driver_offset,
    v.policy_number,
    v.line_of_business,
    v.transaction_kind,
    v.transaction_effective_date,
    COALESCE(v.company_vehicle_number, v.agency_vehicle_number) AS vehicle_number,
    v.vehicle_year,
    v.vehicle_make,
    v.vehicle_model,
    v.vin,
    v.vehicle_registration_state,
    v.total_vehicle_full_term_amount AS vehicle_full_term_premium,
    COALESCE(d.company_drivers_number, d.agency_drivers_number) AS driver_number,
    COALESCE(
        COALESCE(d.drivers_name_first || ' ', '')
        || COALESCE(d.drivers_name_middle || ' ', '')
        || d.drivers_name_last,
        d.drivers_name
    ) AS driver_name,
    d.date_of_birth,
    d.licensed_state,
    d.driver_type_code,
    ch.driver_percent,
    ch.assigned_by
FROM chosen AS ch
JOIN vehicles AS v
    ON v.job_id = ch.job_id AND v.file_id = ch.file_id AND v.record_offset = ch.vehicle_offset
LEFT JOIN drivers AS d
    ON d.job_id = ch.job_id AND d.file_id = ch.file_id AND d.record_offset = ch.driver_offset
