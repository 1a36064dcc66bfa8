"""The tables; judgements, settlements and events are only ever added to.

Times are milliseconds since 1970 (UTC). Texts are stored with line ends as a text field gives them
(LF) beside the text as it was imported, so that an export restores the original exactly.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData()
_ID = BigInteger().with_variant(Integer, "sqlite")

project = Table(
    "project",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("task", String(16), nullable=False),
    Column("settings", JSON, nullable=False),
    Column("secret", String(64), nullable=False),
    Column("paused", Boolean, nullable=False, default=False),
    Column("created", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_project"),
    CheckConstraint("task IN ('compare','correct','rate','mark')", name="known_task"),
)

guideline = Table(
    "guideline",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)

person = Table(
    "person",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password", Text),
    Column("source", String(16), nullable=False, default="human"),
    Column("active", Boolean, nullable=False, default=True),
    Column("trained", Boolean, nullable=False, default=False, server_default=false()),
    Column("shortcuts", JSON(none_as_null=True)),
    Column("created", BigInteger, nullable=False),
    CheckConstraint("role IN ('lead','annotator')", name="known_role"),
    CheckConstraint("source IN ('human','simulated')", name="known_source"),
)

token = Table(
    "token",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("person_id", ForeignKey("person.id")),
    Column("role", String(16)),
    Column("uses_left", Integer, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    CheckConstraint("kind IN ('session','login','invitation')", name="known_token"),
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("who", String(160), nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("attempt_who", "who", "at"),
)

image = Table(
    "image",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("suffix", String(8), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("name", Text, nullable=False),
)

item = Table(
    "item",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    Column("content", String(64), nullable=False, unique=True),
    Column("images", JSON, nullable=False),
    Column("question", Text, nullable=False),
    Column("history", JSON, nullable=False),
    Column("reference", Text),
    Column("prompt", JSON, nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("score", Float),
    Column("suspects", JSON(none_as_null=True)),
    Column("premarked", Boolean, nullable=False, default=False),
    Column("is_gold", Boolean, nullable=False, default=False, index=True),
    Column("gold", JSON(none_as_null=True)),
    Column("gold_note", Text, nullable=False, default=""),
)

response = Table(
    "response",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("item_id", ForeignKey("item.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("raw", Text, nullable=False),
    Column("record", JSON, nullable=False),
    UniqueConstraint("item_id", "number"),
)

slot = Table(
    "slot",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("item_id", ForeignKey("item.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("round", Integer, nullable=False, default=0),
    Column("purpose", String(8), nullable=False),
    Column("flipped", Boolean, nullable=False),
    Column("state", String(8), nullable=False),
    Column("priority", Float, nullable=False),
    Column("person_id", ForeignKey("person.id")),
    Column("leased", BigInteger),
    Column("lease_until", BigInteger),
    Column("judgement_id", String(36)),
    UniqueConstraint("item_id", "person_id", "round"),
    CheckConstraint("purpose IN ('main','gold','repeat','surplus')", name="known_purpose"),
    CheckConstraint("state IN ('open','leased','done','skipped','void')", name="known_state"),
    CheckConstraint("(state IN ('open','void')) = (person_id IS NULL)", name="open_is_nobodys"),
    Index("slot_queue", "state", "priority", "id"),
    Index("slot_lease", "state", "lease_until"),
    Index("slot_person", "person_id", "state"),
    Index("slot_item", "item_id", "round"),
)

draft = Table(
    "draft",
    metadata,
    Column("slot_id", ForeignKey("slot.id"), primary_key=True),
    Column("person_id", ForeignKey("person.id"), primary_key=True),
    Column("payload", JSON, nullable=False),
    Column("updated", BigInteger, nullable=False),
)

judgement = Table(
    "judgement",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("slot_id", ForeignKey("slot.id"), nullable=False),
    Column("item_id", ForeignKey("item.id"), nullable=False),
    Column("person_id", ForeignKey("person.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("body", String(64), nullable=False),
    Column("guideline", Integer, nullable=False),
    Column("shown", BigInteger, nullable=False),
    Column("submitted", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    UniqueConstraint("slot_id", "revision"),
    CheckConstraint("outcome IN ('judged','cannot_tell','skipped','undone')", name="known_outcome"),
    Index("judgement_person", "person_id", "submitted"),
    Index("judgement_item", "item_id"),
    Index("judgement_submitted", "submitted"),
)

returned = Table(
    "returned",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("slot_id", ForeignKey("slot.id"), nullable=False, index=True),
    Column("judgement_id", ForeignKey("judgement.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("person_id", ForeignKey("person.id"), nullable=False),
    Column("note", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)

settlement = Table(
    "settlement",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("item_id", ForeignKey("item.id"), nullable=False, index=True),
    Column("person_id", ForeignKey("person.id"), nullable=False),
    Column("judgement_id", ForeignKey("judgement.id")),
    Column("note", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("person_id", ForeignKey("person.id")),
    Column("kind", String(24), nullable=False),
    Column("detail", JSON, nullable=False),
)
