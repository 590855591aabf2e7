-- Everything the control plane keeps.
--
-- One text for both engines: {int}, {bytes} and {name} are their types (a name is a text in byte order), {auto_id}
-- is a key the engine counts up, {table} ends a table, {clustered} ends one that is stored in the order of its key.
-- A line that begins with "-- postgres:" is for PostgreSQL alone.

-- Facts about the database itself.
CREATE TABLE meta (
    key   {name} NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
){table};

-- Numbers that grow without gaps or out-of-order commits: whoever takes one holds the row until it commits.
CREATE TABLE counters (
    name  {name} NOT NULL PRIMARY KEY,
    value {int} NOT NULL
){table};
INSERT INTO counters (name, value) VALUES ('event', 0), ('audit', 0);

-- Who an agent is and what it says of itself: changes seldom.
CREATE TABLE agents (
    namespace         {name} NOT NULL,
    id                {bytes} NOT NULL,
    uid               {bytes} NOT NULL,
    approval          TEXT NOT NULL,   -- approved, pending
    version           {int} NOT NULL,  -- grows with every change an operator makes
    capabilities      {int} NOT NULL,  -- bits, as a signed integer
    labels_reported   TEXT NOT NULL,   -- JSON objects of strings
    labels_operator   TEXT NOT NULL,
    labels_credential TEXT NOT NULL,
    search            TEXT NOT NULL,   -- lowercase text that a search looks through
    description_hash  {bytes},         -- contents, kind description
    created_at        {int} NOT NULL,  -- times are microseconds since 1970
    PRIMARY KEY (namespace, id)
){table};
-- An agent is found by its uid at its first message.
CREATE UNIQUE INDEX agents_uid ON agents (namespace, uid);
-- The agents that wait for approval are few.
CREATE INDEX agents_pending ON agents (namespace, id) WHERE approval = 'pending';

-- The labels that selectors match, as rows.
CREATE TABLE agent_labels (
    namespace {name} NOT NULL,
    agent_id  {bytes} NOT NULL,
    key       {name} NOT NULL,
    value     {name} NOT NULL,
    PRIMARY KEY (namespace, agent_id, key)
){clustered};
-- The agents of one label in the order in which they are listed.
CREATE INDEX agent_labels_value ON agent_labels (namespace, key, value, agent_id);

-- Where an agent stands: changes with reports.
CREATE TABLE agent_status (
    namespace              {name} NOT NULL,
    agent_id               {bytes} NOT NULL,
    epoch                  {int} NOT NULL,
    connected              {int} NOT NULL,  -- 0, 1
    node                   TEXT,
    transport              TEXT,
    remote_addr            TEXT,
    attached_at            {int},
    detached_at            {int},
    detach_reason          TEXT,
    healthy                {int},           -- 0, 1; null: never said
    health                 TEXT,            -- JSON, without times
    health_times           {bytes},         -- as they came with the tree
    health_at              {int},
    desired_hash           {bytes},
    offered_hash           {bytes},
    offered_at             {int},
    answered_hash          {bytes},         -- as the agent echoed it
    answered_state         TEXT,            -- unset, applying, applied, failed
    answered_error         TEXT,
    effective_hash         {bytes},         -- contents, kind effective
    components_hash        {bytes},         -- the agent's own hash of its inventory
    components_content     {bytes},         -- contents, kind components
    package_statuses       TEXT,            -- JSON
    custom_capabilities    TEXT,            -- JSON
    connection_settings    TEXT,            -- JSON
    reports                {int} NOT NULL,  -- the number of the newest report stored
    reported_at            {int},           -- when the agent was last seen by then
    wire                   {bytes},         -- the session's state by then
    PRIMARY KEY (namespace, agent_id)
){table};
-- The agents that need a look are few.
CREATE INDEX agent_status_gone ON agent_status (namespace, agent_id) WHERE connected = 0;
CREATE INDEX agent_status_unhealthy ON agent_status (namespace, agent_id) WHERE healthy = 0;
CREATE INDEX agent_status_failed ON agent_status (namespace, agent_id) WHERE answered_state = 'failed';
-- postgres: ALTER TABLE agent_status SET (fillfactor = 60);

-- When an agent was last seen: rewritten for all agents at every flush, so kept narrow.
CREATE TABLE agent_liveness (
    namespace    {name} NOT NULL,
    agent_id     {bytes} NOT NULL,
    last_seen    {int} NOT NULL,
    follows      {int} NOT NULL,  -- the report that was the newest; what stands here counts if it still is; -1: none
    wire         {bytes},  -- the session's state
    health_times {bytes},  -- newer than those in agent_status when flushed_at is later than health_at
    flushed_at   {int} NOT NULL,
    PRIMARY KEY (namespace, agent_id)
){table};
-- postgres: ALTER TABLE agent_liveness SET (fillfactor = 50);

-- What changed about an agent, for people.
CREATE TABLE agent_history (
    id        {auto_id},
    namespace {name} NOT NULL,
    agent_id  {bytes} NOT NULL,
    at        {int} NOT NULL,
    what      TEXT NOT NULL,
    actor     TEXT,            -- null: the agent itself
    old_value TEXT,
    new_value TEXT
){table};
CREATE INDEX agent_history_agent ON agent_history (namespace, agent_id, id);

-- Large values, once each, compressed with zstd.
CREATE TABLE contents (
    namespace  {name} NOT NULL,
    kind       {name} NOT NULL,
    hash       {bytes} NOT NULL,  -- SHA-256 of the value
    size       {int} NOT NULL,    -- of the value, in bytes
    touched_at {int} NOT NULL,    -- when it was last written; the sweep leaves young ones
    body       {bytes} NOT NULL,  -- last, so that a sweep does not read through it
    PRIMARY KEY (namespace, kind, hash)
){table};

CREATE TABLE configs (
    namespace  {name} NOT NULL,
    name       {name} NOT NULL,
    latest     {int} NOT NULL,
    version    {int} NOT NULL,
    created_at {int} NOT NULL,
    deleted_at {int},
    source     TEXT,           -- the repository that it comes from, which alone changes it; null: it is changed here
    gone_at    {int},          -- since when that repository has it no more
    PRIMARY KEY (namespace, name)
){table};
-- The configs of a source are looked through at each of its commits.
CREATE INDEX configs_source ON configs (namespace, name) WHERE source IS NOT NULL;

-- What was taken from the config source of a namespace.
CREATE TABLE config_sources (
    namespace  {name} NOT NULL,
    repository TEXT NOT NULL,
    branch     TEXT NOT NULL,
    path       TEXT NOT NULL,  -- of the directory in the repository; empty: all of it
    seen       TEXT NOT NULL,  -- the commit that was looked at last; empty: none
    applied    TEXT,           -- JSON: the commit that was applied last, and when
    refused    TEXT,           -- JSON: the commit that was refused after it, and what is wrong with it
    releases   TEXT NOT NULL,  -- JSON: what is to be released by itself, or was and could not be
    PRIMARY KEY (namespace)
){table};

CREATE TABLE revisions (
    namespace  {name} NOT NULL,
    config     {name} NOT NULL,
    number     {int} NOT NULL,
    version    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    selector   TEXT NOT NULL,
    priority   {int} NOT NULL,
    template   TEXT,              -- JSON: variables, overrides, uses; null: the body is sent as it is
    variables  TEXT,              -- JSON: what the body of a set of variables says; null: it is none
    sha256     {bytes} NOT NULL,  -- contents, kind revision
    body_bytes {int} NOT NULL,
    author     TEXT NOT NULL,
    message    TEXT NOT NULL,
    created_at {int} NOT NULL,
    origin     TEXT NOT NULL,
    PRIMARY KEY (namespace, config, number)
){table};

-- Names for revisions, which people may move.
CREATE TABLE tags (
    namespace {name} NOT NULL,
    config    {name} NOT NULL,
    tag       {name} NOT NULL,
    revision  {int} NOT NULL,
    set_by    TEXT NOT NULL,
    set_at    {int} NOT NULL,
    PRIMARY KEY (namespace, config, tag)
){table};

-- The revision of a config that its last completed rollout left in force.
CREATE TABLE baselines (
    namespace  {name} NOT NULL,
    config     {name} NOT NULL,
    revision   {int} NOT NULL,
    rollout_id {bytes} NOT NULL,
    set_at     {int} NOT NULL,
    PRIMARY KEY (namespace, config)
){table};

-- Agents that go their own way for one config.
CREATE TABLE exceptions (
    namespace {name} NOT NULL,
    agent_id  {bytes} NOT NULL,
    config    {name} NOT NULL,
    revision  {int},           -- null: nothing of this config
    reason    TEXT NOT NULL,   -- pin, rollback
    set_by    TEXT NOT NULL,
    set_at    {int} NOT NULL,
    PRIMARY KEY (namespace, agent_id, config)
){table};

CREATE TABLE rollouts (
    namespace    {name} NOT NULL,
    id           {bytes} NOT NULL,
    config       {name} NOT NULL,
    target       {int},           -- null: takes the config away
    previous     {int},
    strategy     TEXT NOT NULL,
    forced       {int} NOT NULL,  -- 0, 1: started although checks found errors
    state        TEXT NOT NULL,   -- running, completed, aborted
    ended_at     {int},
    abort_reason TEXT,
    created_by   TEXT NOT NULL,
    created_at   {int} NOT NULL,
    message      TEXT NOT NULL,
    PRIMARY KEY (namespace, id)
){table};
-- Of one config one rollout runs at a time.
CREATE UNIQUE INDEX rollouts_running ON rollouts (namespace, config) WHERE state = 'running';
CREATE INDEX rollouts_config ON rollouts (namespace, config, id);

-- What agents with certain inputs should run: one row per distinct inputs.
CREATE TABLE desired_contents (
    namespace    {name} NOT NULL,
    kind         {name} NOT NULL,
    inputs_key   {bytes} NOT NULL,
    layers       TEXT NOT NULL,     -- JSON list of [config, revision], or [config, revision, values of its template]
    hash         {bytes} NOT NULL,  -- the hash agents know it by
    content_hash {bytes} NOT NULL,  -- contents, kind desired
    secrets      TEXT NOT NULL,     -- JSON list of [name, version]: whose values are put in when it is offered
    needs        TEXT NOT NULL,     -- what a build must have to run it: receiver/otlp exporter/debug
    created_at   {int} NOT NULL,
    PRIMARY KEY (namespace, kind, inputs_key)
){table};
CREATE INDEX desired_contents_hash ON desired_contents (namespace, kind, hash);

-- Contents that agents refused in a dry run, where a release left them out for it.
CREATE TABLE dry_run_refusals (
    namespace {name} NOT NULL,
    hash      {bytes} NOT NULL,  -- the hash agents know the content by
    agent_id  {bytes} NOT NULL,  -- who refused
    build     {bytes},           -- digest of what it was built of; null: that was not known
    for_build {int} NOT NULL,    -- 1: it spoke for all agents of its build; 0: for itself
    reason    TEXT NOT NULL,     -- what its Collector says, without secrets
    at        {int} NOT NULL,
    config    {name} NOT NULL,   -- whose release left it out
    revision  {int} NOT NULL,    -- that was released
    PRIMARY KEY (namespace, hash, agent_id)
){table};

-- Secrets that configs refer to by name. Values are sealed with a key that is not in the database.
CREATE TABLE secrets (
    namespace  {name} NOT NULL,
    name       {name} NOT NULL,
    version    {int} NOT NULL,      -- never used twice for a name
    is_current {int} NOT NULL,      -- 1: what is sent from now on; 0: kept as long as a desired content has it
    sealed     {bytes} NOT NULL,    -- nonce, AES-256-GCM of the value for (namespace, name, version)
    key_id     TEXT NOT NULL,       -- which key it is sealed with
    created_by TEXT NOT NULL,
    created_at {int} NOT NULL,
    PRIMARY KEY (namespace, name, version)
){table};

-- The emergency brakes that are on.
CREATE TABLE holds (
    namespace     {name} NOT NULL,   -- empty: the whole fleet
    selector_hash {bytes} NOT NULL,  -- SHA-256 of selector, which is too long for an index
    selector      {name} NOT NULL,   -- empty: every agent of the namespace
    reason        TEXT NOT NULL,
    set_by        TEXT NOT NULL,
    set_at        {int} NOT NULL,
    PRIMARY KEY (namespace, selector_hash)
){table};

CREATE TABLE tokens (
    namespace  {name} NOT NULL,
    id         {bytes} NOT NULL,
    kind       TEXT NOT NULL,     -- agent, admin
    name       TEXT NOT NULL,
    hash       {bytes} NOT NULL,  -- SHA-256 of its text
    labels     TEXT NOT NULL,     -- JSON object of strings
    uid        {bytes},           -- the one agent it is for
    created_by TEXT NOT NULL,
    created_at {int} NOT NULL,
    expires_at {int},
    revoked_at {int},
    PRIMARY KEY (namespace, id)
){table};
CREATE UNIQUE INDEX tokens_hash ON tokens (hash);

-- What happened, in one order.
CREATE TABLE events (
    id        {int} NOT NULL PRIMARY KEY,
    namespace {name} NOT NULL,
    agent_id  {bytes},
    at        {int} NOT NULL,
    kind      TEXT NOT NULL,
    detail    TEXT            -- JSON object of strings
){table};
CREATE INDEX events_agent ON events (namespace, agent_id, id) WHERE agent_id IS NOT NULL;

-- The audit chain: each entry holds the hash of the one before it.
CREATE TABLE audit (
    sequence   {int} NOT NULL PRIMARY KEY,
    namespace  {name} NOT NULL,
    at         {int} NOT NULL,
    event_type TEXT NOT NULL,
    agent_id   {bytes},
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    resource   TEXT NOT NULL,
    old_value  TEXT,
    new_value  TEXT,
    error      TEXT,             -- null: it succeeded
    previous   {bytes} NOT NULL,
    hash       {bytes} NOT NULL
){table};
CREATE INDEX audit_namespace ON audit (namespace, sequence);

CREATE TABLE idempotency_keys (
    namespace  {name} NOT NULL,
    key        {name} NOT NULL,
    request    {bytes} NOT NULL,
    status     {int} NOT NULL,
    body       {bytes} NOT NULL,
    created_at {int} NOT NULL,
    PRIMARY KEY (namespace, key)
){table};
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
