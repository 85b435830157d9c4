-- coverages: one row for each coverage of automobile, home and commercial lines, with its vehicle or dwelling.
-- The state is that of the location or, where there is none, that in which the vehicle is registered.
WITH bought AS (
    SELECT
        'auto' AS coverage_type,
        ac.job_id,
        ac.file_id,
        ac.record_offset,
        ac.transaction_offset,
        ac.parent_offset,
        ac.policy_number,
        ac.line_of_business,
        ac.transaction_kind,
        ac.transaction_function,
        ac.transaction_effective_date,
        ac.coverage_code_personal_automobile AS coverage_code,
        ac.coverage_code_description AS coverage_description,
        ac.limit1,
        ac.limit2,
        ac.deductible AS deductible1,
        NULL AS deductible2,
        NULL AS deductible3,
        ac.deductible_type_code AS deductible1_type_code,
        ac.full_term_premium,
        ac.net_change_premium_retired AS net_change_premium,
        ac.form_number,
        ac.form_edition_date,
        ac.coverage_effective_date,
        ac.coverage_expiration_date
    FROM auto_coverages AS ac
    UNION ALL
    SELECT
        'home' AS coverage_type,
        hc.job_id,
        hc.file_id,
        hc.record_offset,
        hc.transaction_offset,
        hc.parent_offset,
        hc.policy_number,
        hc.line_of_business,
        hc.transaction_kind,
        hc.transaction_function,
        hc.transaction_effective_date,
        hc.coverage_code,
        hc.description_field AS coverage_description,
        hc.homeowners_limit1 AS limit1,
        hc.homeowners_limit2 AS limit2,
        hc.first_deductible AS deductible1,
        hc.second_deductible AS deductible2,
        hc.third_deductible AS deductible3,
        hc.first_deductible_type_code AS deductible1_type_code,
        hc.full_term_premium,
        hc.net_change_premium,
        hc.form_number,
        hc.form_edition_date,
        hc.coverage_effective_date,
        hc.coverage_expiration_date
    FROM home_coverages AS hc
    UNION ALL
    SELECT
        'commercial' AS coverage_type,
        cc.job_id,
        cc.file_id,
        cc.record_offset,
        cc.transaction_offset,
        cc.parent_offset,
        cc.policy_number,
        cc.line_of_business,
        cc.transaction_kind,
        cc.transaction_function,
        cc.transaction_effective_date,
        cc.coverage_code,
        NULL AS coverage_description,
        cc.limit1,
        cc.limit2,
        NULL AS deductible1,
        NULL AS deductible2,
        NULL AS deductible3,
        NULL AS deductible1_type_code,
        NULL AS full_term_premium,
        NULL AS net_change_premium,
        NULL AS form_number,
        NULL AS form_edition_date,
        NULL AS coverage_effective_date,
        NULL AS coverage_expiration_date
    FROM commercial_coverages AS cc
)
SELECT
    b.job_id,
    b.file_id,
    b.record_offset,
    b.transaction_offset,
    b.policy_number,
    b.line_of_business,
    b.transaction_kind,
    b.transaction_function,
    b.transaction_effective_date,
    b.coverage_type,
    b.coverage_code,
    b.coverage_description,
    b.limit1,
    b.limit2,
    b.deductible1,
    b.deductible2,
    b.deductible3,
    b.deductible1_type_code,
    b.full_term_premium,
    b.net_change_premium,
    b.form_number,
    b.form_edition_date,
    b.coverage_effective_date,
    b.coverage_expiration_date,
    COALESCE(l.state_province_abbreviation, v.vehicle_registration_state) AS state,
    l.location_number,
    l.city AS location_city,
    v.record_offset AS vehicle_offset,
    COALESCE(v.company_vehicle_number, v.agency_vehicle_number) AS vehicle_number,
    v.vehicle_year,
    v.vehicle_make,
    v.vehicle_model,
    v.vin,
    d.record_offset AS dwelling_offset,
    d.homeowners_policy_type_code,
    d.construction_type_code,
    d.year_built
FROM bought AS b
JOIN current_files AS c ON c.job_id = b.job_id AND c.file_id = b.file_id
LEFT JOIN vehicles AS v
    ON v.job_id = b.job_id AND v.file_id = b.file_id AND v.record_offset = b.parent_offset
LEFT JOIN dwellings AS d
    ON d.job_id = b.job_id AND d.file_id = b.file_id AND d.record_offset = b.parent_offset
LEFT JOIN locations AS l
    ON l.job_id = b.job_id
    AND l.file_id = b.file_id
    AND l.record_offset = COALESCE(v.parent_offset, d.parent_offset, b.parent_offset)
