-- policy_transactions: one row for each transaction, with its first policy, its first insured and the sender.
WITH first_policies AS (
    SELECT
        p.job_id,
        p.file_id,
        p.transaction_offset,
        p.company_code,
        p.line_of_business_subcode,
        p.policy_effective_date,
        p.policy_expiration_date,
        p.original_policy_inception_date,
        p.billing_method_code,
        p.written_amount AS written_premium,
        p.current_term_amount AS current_term_premium,
        p.net_change_amount AS net_change_premium,
        ROW_NUMBER() OVER (
            PARTITION BY p.job_id, p.file_id, p.transaction_offset ORDER BY p.record_offset
        ) AS place
    FROM policies AS p
    WHERE p.transaction_offset IS NOT NULL
),
first_insureds AS (
    SELECT
        i.job_id,
        i.file_id,
        i.transaction_offset,
        i.processing_level,
        i.iteration,
        COALESCE(
            COALESCE(i.insureds_name_first || ' ', '')
            || COALESCE(i.insureds_name_middle || ' ', '')
            || i.insureds_name_last,
            i.insureds_name
        ) AS insured_name,
        i.legal_entity_code,
        ROW_NUMBER() OVER (
            PARTITION BY i.job_id, i.file_id, i.transaction_offset ORDER BY i.record_offset
        ) AS place
    FROM insureds AS i
    WHERE i.transaction_offset IS NOT NULL
),
-- An address has the level and the iteration of the insured that it extends.
first_addresses AS (
    SELECT
        a.job_id,
        a.file_id,
        a.transaction_offset,
        a.processing_level,
        a.iteration,
        a.street_address_line1 AS insured_street,
        a.city AS insured_city,
        a.state_province_abbreviation AS insured_state,
        a.zip_code AS insured_zip_code,
        ROW_NUMBER() OVER (
            PARTITION BY a.job_id, a.file_id, a.transaction_offset, a.processing_level, a.iteration
            ORDER BY a.record_offset
        ) AS place
    FROM insured_addresses AS a
    WHERE a.transaction_offset IS NOT NULL
)
SELECT
    t.job_id,
    t.file_id,
    t.record_offset AS transaction_offset,
    c.file_path,
    m.message_address_origination AS sender,
    t.transaction_kind,
    t.transaction_function,
    t.business_purpose,
    t.transaction_date,
    t.transaction_effective_date,
    t.policy_number,
    t.line_of_business,
    fp.line_of_business_subcode,
    fp.company_code,
    fp.policy_effective_date,
    fp.policy_expiration_date,
    fp.original_policy_inception_date,
    fp.billing_method_code,
    fp.written_premium,
    fp.current_term_premium,
    fp.net_change_premium,
    fi.insured_name,
    fi.legal_entity_code,
    fa.insured_street,
    fa.insured_city,
    fa.insured_state,
    fa.insured_zip_code
FROM transactions AS t
JOIN current_files AS c ON c.job_id = t.job_id AND c.file_id = t.file_id
LEFT JOIN messages AS m
    ON m.job_id = t.job_id AND m.file_id = t.file_id AND m.record_offset = t.message_offset
LEFT JOIN first_policies AS fp
    ON fp.job_id = t.job_id
    AND fp.file_id = t.file_id
    AND fp.transaction_offset = t.record_offset
    AND fp.place = 1
LEFT JOIN first_insureds AS fi
    ON fi.job_id = t.job_id
    AND fi.file_id = t.file_id
    AND fi.transaction_offset = t.record_offset
    AND fi.place = 1
LEFT JOIN first_addresses AS fa
    ON fa.job_id = fi.job_id
    AND fa.file_id = fi.file_id
    AND fa.transaction_offset = fi.transaction_offset
    AND fa.processing_level = fi.processing_level
    AND fa.iteration = fi.iteration
    AND fa.place = 1
