-- premium_by_policy: one row for each term of each policy, as its latest transaction leaves it.
-- Quotes, billing, commissions and claims do not count, nor do policies whose transaction is not known.
-- A transaction can be the latest of several policies, so what joins it to other rows needs policy and line, too.
-- A partial image (PMG) brings only what changed. image_ columns tell the latest full one (FMG), null if none came.
WITH ranked AS (
    SELECT
        p.job_id,
        p.file_id,
        p.transaction_offset,
        p.policy_number,
        p.company_code,
        p.line_of_business_code AS line_of_business,
        p.policy_effective_date,
        p.policy_expiration_date,
        p.written_amount AS written_premium,
        p.current_term_amount AS current_term_premium,
        p.net_change_amount AS net_change_premium,
        p.transaction_kind,
        p.transaction_function,
        p.business_purpose,
        p.transaction_effective_date,
        t.transaction_date,
        COUNT(*) OVER (
            PARTITION BY
                p.policy_number, p.company_code, p.line_of_business_code, p.policy_effective_date
        ) AS transactions,
        ROW_NUMBER() OVER newest AS place,
        FIRST_VALUE(CASE WHEN p.transaction_function = 'FMG' THEN p.job_id END)
            OVER newest_image AS image_job_id,
        FIRST_VALUE(CASE WHEN p.transaction_function = 'FMG' THEN p.file_id END)
            OVER newest_image AS image_file_id,
        FIRST_VALUE(CASE WHEN p.transaction_function = 'FMG' THEN p.transaction_offset END)
            OVER newest_image AS image_transaction_offset
    FROM policies AS p
    JOIN current_files AS c ON c.job_id = p.job_id AND c.file_id = p.file_id
    JOIN transactions AS t
        ON t.job_id = p.job_id AND t.file_id = p.file_id AND t.record_offset = p.transaction_offset
    WHERE p.policy_number IS NOT NULL
        AND p.transaction_kind NOT IN ('quote', 'billing', 'commission', 'claim')
    WINDOW
        newest AS (
            PARTITION BY
                p.policy_number, p.company_code, p.line_of_business_code, p.policy_effective_date
            ORDER BY
                t.transaction_date DESC NULLS LAST,
                p.transaction_effective_date DESC NULLS LAST,
                c.finished_at DESC NULLS LAST,
                p.file_id DESC,
                p.record_offset DESC
        ),
        newest_image AS (
            PARTITION BY
                p.policy_number, p.company_code, p.line_of_business_code, p.policy_effective_date
            ORDER BY
                CASE WHEN p.transaction_function = 'FMG' THEN 0 ELSE 1 END,
                t.transaction_date DESC NULLS LAST,
                p.transaction_effective_date DESC NULLS LAST,
                c.finished_at DESC NULLS LAST,
                p.file_id DESC,
                p.record_offset DESC
        )
)
SELECT
    r.policy_number,
    r.company_code,
    r.line_of_business,
    r.policy_effective_date,
    r.policy_expiration_date,
    r.written_premium,
    r.current_term_premium,
    r.net_change_premium,
    r.transactions,
    r.transaction_kind AS latest_transaction_kind,
    r.transaction_function AS latest_transaction_function,
    r.business_purpose AS latest_business_purpose,
    r.transaction_date AS latest_transaction_date,
    r.transaction_effective_date AS latest_transaction_effective_date,
    r.job_id,
    r.file_id,
    r.transaction_offset,
    r.image_job_id,
    r.image_file_id,
    r.image_transaction_offset
FROM ranked AS r
WHERE r.place = 1
