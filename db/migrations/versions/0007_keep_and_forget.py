"""Weights of a finished run may go, an experiment may be forgotten, and configurations say which weights stay.

Revision: 0007, after 0006

Results stay append-only: a finished run's row may lose nothing but the place of its weights, and rows are deleted only
in a transaction that declares itself to forget a whole experiment (`beyond-iid gc --experiment`).
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

REFUSE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN{forgetting}
    RAISE EXCEPTION 'results are append-only: % of % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$"""
FORGETTING = """
    IF TG_OP = 'DELETE' AND current_setting('beyond_iid.forget', true) = 'on' THEN
        RETURN OLD;
    END IF;"""
# keep_checkpoints: true | false <-> keep: all | none; a configuration's hash leaves its resources out.
RENAME = """
UPDATE experiment SET config = jsonb_set(
    config::jsonb, '{{resources}}',
    ((config::jsonb -> 'resources') - '{old}')
        || jsonb_build_object('{new}', CASE WHEN config::jsonb #>> '{{resources,{old}}}' = '{test}' THEN {yes} ELSE {no} END)
)::json
WHERE config::jsonb #> '{{resources,{old}}}' IS NOT NULL"""


def upgrade() -> None:
    op.execute(REFUSE.format(forgetting=FORGETTING))
    op.execute("DROP TRIGGER finished_is_final ON run")
    op.execute(
        "CREATE TRIGGER finished_is_final BEFORE UPDATE ON run FOR EACH ROW"
        " WHEN (OLD.state = 'finished' AND (NEW.checkpoint IS DISTINCT FROM ''"
        " OR to_jsonb(NEW) - 'checkpoint' IS DISTINCT FROM to_jsonb(OLD) - 'checkpoint'))"
        " EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER finished_stays BEFORE DELETE ON run FOR EACH ROW"
        " WHEN (OLD.state = 'finished') EXECUTE FUNCTION refuse_change()"
    )
    op.execute(RENAME.format(old="keep_checkpoints", new="keep", test="true", yes="'all'", no="'none'"))


def downgrade() -> None:
    op.execute(RENAME.format(old="keep", new="keep_checkpoints", test="all", yes="true", no="false"))
    op.execute("DROP TRIGGER finished_stays ON run")
    op.execute("DROP TRIGGER finished_is_final ON run")
    op.execute(
        "CREATE TRIGGER finished_is_final BEFORE UPDATE OR DELETE ON run FOR EACH ROW"
        " WHEN (OLD.state = 'finished') EXECUTE FUNCTION refuse_change()"
    )
    op.execute(REFUSE.format(forgetting=""))
