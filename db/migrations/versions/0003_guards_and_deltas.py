"""Results cannot change, partial results cannot be committed, and deltas are a view.

Revision: 0003, after 0002

Triggers rather than code, so that no client, psql included, can break it. The completeness checks are deferred: a
transaction may write header and rows in any order, and is refused as a whole at its commit.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

APPEND_ONLY = (
    "score",
    "analysis",
    "analysis_run",
    "effect_matrix",
    "effect_target",
    "effect_source",
    "effect",
    "proposal",
    "proposal_share",
    "proposal_shadow_price",
    "taxonomy",
    "taxonomy_node",
    "taxonomy_edge",
    "curriculum",
    "curriculum_stage",
    "verdict",
    "verdict_category",
)

# table that may be incomplete -> (its key, the tables whose change asks the question, each with its key)
COMPLETENESS = {
    "run": ("id", {"run": "id", "score": "run_id"}),
    "effect_matrix": (
        "id",
        {"effect_matrix": "id", "effect": "matrix_id", "effect_target": "matrix_id", "effect_source": "matrix_id"},
    ),
    "proposal": ("id", {"proposal": "id", "proposal_share": "proposal_id"}),
    "curriculum": ("id", {"curriculum": "id", "curriculum_stage": "curriculum_id"}),
}

CHECKS = {
    "run": """
    SELECT count(*) INTO present FROM score WHERE run_id = key;
    SELECT CASE WHEN state = 'finished' THEN score_count ELSE 0 END INTO expected FROM run WHERE id = key;
    """,
    "effect_matrix": """
    SELECT count(*) INTO present FROM effect e JOIN effect_matrix m ON m.id = e.matrix_id
        WHERE e.matrix_id = key AND cardinality(e.seed_delta) = m.seeds;
    SELECT greatest(1, (SELECT count(*) FROM effect_target WHERE matrix_id = key)
        * (SELECT count(*) FROM effect_source WHERE matrix_id = key)) INTO expected;
    """,
    "proposal": """
    SELECT coalesce(sum(count), 0) INTO present FROM proposal_share WHERE proposal_id = key;
    SELECT total INTO expected FROM proposal WHERE id = key;
    """,
    "curriculum": """
    SELECT coalesce(sum(examples), 0) INTO present FROM curriculum_stage WHERE curriculum_id = key;
    SELECT examples INTO expected FROM curriculum WHERE id = key;
    """,
}


def upgrade() -> None:
    op.execute("INSERT INTO metric (name, higher_is_better) VALUES ('loss', false), ('exact_match', true)")
    op.execute("""
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'results are append-only: % of % refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END $$""")
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(
        "CREATE TRIGGER finished_is_final BEFORE UPDATE OR DELETE ON run FOR EACH ROW"
        " WHEN (OLD.state = 'finished') EXECUTE FUNCTION refuse_change()"
    )
    for table, (key, sources) in COMPLETENESS.items():
        op.execute(f"""
        CREATE FUNCTION require_complete_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE key integer := (to_jsonb(NEW) ->> TG_ARGV[0])::integer; present bigint; expected bigint;
        BEGIN
            {CHECKS[table]}
            IF present IS DISTINCT FROM expected THEN
                RAISE EXCEPTION '{table} % is incomplete: % where % is expected', key, present, expected
                    USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN NULL;
        END $$""")
        for source, column in sources.items():
            event = "INSERT OR UPDATE" if source == "run" else "INSERT"
            op.execute(
                f"CREATE CONSTRAINT TRIGGER complete_{table} AFTER {event} ON {source} DEFERRABLE INITIALLY DEFERRED"
                f" FOR EACH ROW EXECUTE FUNCTION require_complete_{table}('{column}')"
            )
    # delta = P(baseline) - P(intervention), P higher is better: what the removed data gave.
    op.execute("""
    CREATE VIEW benchmark_delta AS
    SELECT i.experiment_id, i.phase, i.analysis_id, i.id AS intervention_id, i.name AS intervention, i.arm,
           p.seed, s.category, s.metric, b.value AS baseline, s.value,
           CASE WHEN m.higher_is_better THEN b.value - s.value ELSE s.value - b.value END AS delta,
           b.n AS baseline_n, s.n, p.run_id, q.run_id AS baseline_run_id
    FROM intervention i
    JOIN planned_run p ON p.intervention_id = i.id
    JOIN score s ON s.run_id = p.run_id
    JOIN metric m ON m.name = s.metric
    JOIN intervention c ON c.experiment_id = i.experiment_id AND c.phase = i.phase
        AND c.analysis_id IS NOT DISTINCT FROM i.analysis_id AND c.name = 'baseline'
    JOIN planned_run q ON q.intervention_id = c.id AND q.seed = p.seed
    JOIN score b ON b.run_id = q.run_id AND b.category = s.category AND b.metric = s.metric
    WHERE i.id <> c.id""")


def downgrade() -> None:
    op.execute("DROP VIEW benchmark_delta")
    for table, (_, sources) in COMPLETENESS.items():
        for source in sources:
            op.execute(f"DROP TRIGGER complete_{table} ON {source}")
        op.execute(f"DROP FUNCTION require_complete_{table}()")
    op.execute("DROP TRIGGER finished_is_final ON run")
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER append_only ON {table}")
        op.execute(f"DROP TRIGGER no_truncate ON {table}")
    op.execute("DROP FUNCTION refuse_change()")
    op.execute("DELETE FROM metric")
