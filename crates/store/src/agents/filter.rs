//! Which agents: selectors and status filters as SQL.

use std::fmt::Write;

use domain::{ConfigState, Operator, Requirement, Selector};

use super::list::ListAgents;
use crate::db::Dialect;
use crate::sql::{Value, query_built};
use crate::{Conn, StoreError};

/// Where an agent stands with its desired config; the SQL twin of [`domain::config_state`].
pub(super) const CONFIG_STATE: &str = "CASE WHEN s.desired_hash IS NULL THEN 'unassigned'
    WHEN s.answered_hash = s.desired_hash
        THEN CASE s.answered_state WHEN 'applied' THEN 'applied' WHEN 'failed' THEN 'failed' ELSE 'applying' END
    WHEN s.offered_hash = s.desired_hash THEN 'offered' ELSE 'pending' END";

/// `FROM … WHERE …` over agents, with its values. Status is `s`, the agent `a`, its liveness `l`.
pub(super) struct Filter {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
    /// The column that orders the agents.
    pub(super) order: &'static str,
}

/// A label that at most so many agents have is narrow: their list costs less than a walk through all agents.
const NARROW_AGENTS: u64 = 2_000;

impl Filter {
    /// The filter as it is; SQLite walks through all agents where no label is asked for by one value.
    pub(super) fn of(filter: &ListAgents, dialect: Dialect) -> Self {
        Self::with(filter, dialect, None)
    }

    /// The filter for SQLite after a look at how many agents have the labels that it asks for by several values. They
    /// may be one in a thousand: a walk through all others would take longer than everything else about a page.
    pub(super) async fn narrowed(filter: &ListAgents, conn: &mut Conn) -> Result<Self, StoreError> {
        let dialect = conn.dialect();
        let requirements = filter.selector.requirements();
        // PostgreSQL knows from its statistics.
        if dialect == Dialect::Postgres || requirements.iter().any(|one| one_value(one).is_some()) {
            return Ok(Self::of(filter, dialect));
        }
        for (at, requirement) in requirements.iter().enumerate() {
            let named = matches!(requirement.operator, Operator::In(_) | Operator::Exists);
            if named && is_narrow(filter, requirement, conn).await? {
                return Ok(Self::with(filter, dialect, Some(at)));
            }
        }
        Ok(Self::of(filter, dialect))
    }

    fn with(filter: &ListAgents, dialect: Dialect, narrow: Option<usize>) -> Self {
        let mut built = Self::start(filter, narrow);
        built.statuses(filter);
        built.text(filter, dialect);
        built
    }

    /// Begins with the agents of one label where the selector asks for one, else with the agents' statuses; either
    /// way in the order in which they are listed, so that a page reads no more than it needs. `CROSS JOIN` keeps
    /// SQLite at this order; PostgreSQL chooses by its statistics.
    fn start(filter: &ListAgents, narrow: Option<usize>) -> Self {
        let requirements = filter.selector.requirements();
        let driving = requirements
            .iter()
            .position(|requirement| one_value(requirement).is_some());
        let mut built = Self {
            text: String::new(),
            values: Vec::new(),
            order: "s.agent_id",
        };
        let ns = built.value(&filter.namespace);
        if let Some((key, value)) = driving.and_then(|at| one_value(&requirements[at])) {
            let (key, value) = (built.value(key), built.value(value));
            built.order = "d.agent_id";
            built.push(&format!(
                " FROM agent_labels d CROSS JOIN agent_status s CROSS JOIN agents a CROSS JOIN agent_liveness l
                 WHERE d.namespace = {ns} AND d.key = {key} AND d.value = {value}
                     AND s.namespace = d.namespace AND s.agent_id = d.agent_id"
            ));
        } else {
            built.push(&format!(
                " FROM agent_status s CROSS JOIN agents a CROSS JOIN agent_liveness l WHERE s.namespace = {ns}"
            ));
        }
        built.push(
            " AND a.namespace = s.namespace AND a.id = s.agent_id
             AND l.namespace = s.namespace AND l.agent_id = s.agent_id",
        );
        if let Some(after) = filter.after {
            let (order, after) = (built.order, built.value(after));
            built.push(&format!(" AND {after} < {order}"));
        }
        for (at, requirement) in requirements.iter().enumerate() {
            if Some(at) == narrow {
                let list = built.labelled(filter, requirement);
                built.push(&format!(" AND s.agent_id IN ({list})"));
            } else if Some(at) != driving {
                built.requirement(requirement);
            }
        }
        built
    }

    /// The agents that have a label with one of its values, as a list of its own: it refers to nothing outside, so
    /// that it is made once.
    fn labelled(&mut self, filter: &ListAgents, requirement: &Requirement) -> String {
        let (ns, key) = (self.value(&filter.namespace), self.value(&*requirement.key));
        let mut list = format!(
            "SELECT n.agent_id FROM agent_labels n WHERE n.namespace = {ns} AND n.key = {key}"
        );
        if let Operator::In(values) = &requirement.operator {
            let values = self.list(values);
            write!(list, " AND n.value IN ({values})").expect("a String takes all text");
        }
        list
    }

    fn requirement(&mut self, requirement: &Requirement) {
        let key = self.value(&*requirement.key);
        let label = format!(
            "EXISTS (SELECT 1 FROM agent_labels x
                 WHERE x.namespace = s.namespace AND x.agent_id = s.agent_id AND x.key = {key}"
        );
        match &requirement.operator {
            Operator::Exists => self.push(&format!(" AND {label})")),
            Operator::Absent => self.push(&format!(" AND NOT {label})")),
            Operator::In(values) => {
                let values = self.list(values);
                self.push(&format!(" AND {label} AND x.value IN ({values}))"));
            }
            Operator::NotIn(values) => {
                let values = self.list(values);
                self.push(&format!(" AND NOT {label} AND x.value IN ({values}))"));
            }
        }
    }

    /// States are constants in the text: only so are the small indexes over them used.
    fn statuses(&mut self, filter: &ListAgents) {
        match filter.connected {
            Some(true) => self.push(" AND s.connected = 1"),
            Some(false) => self.push(" AND s.connected = 0"),
            None => {}
        }
        match filter.healthy {
            Some(true) => self.push(" AND s.healthy = 1"),
            Some(false) => self.push(" AND s.healthy = 0"),
            None => {}
        }
        match filter.in_sync {
            Some(true) => self.push(&format!(" AND {CONFIG_STATE} = 'applied'")),
            Some(false) => self.push(&format!(
                " AND {CONFIG_STATE} NOT IN ('applied', 'unassigned')"
            )),
            None => {}
        }
        if let Some(approval) = filter.approval {
            self.push(&format!(" AND a.approval = '{}'", approval.as_str()));
        }
        if let Some(state) = filter.config_state {
            if state == ConfigState::Failed {
                self.push(" AND s.answered_state = 'failed'");
            }
            self.push(&format!(" AND {CONFIG_STATE} = '{}'", state.as_str()));
        }
    }

    fn text(&mut self, filter: &ListAgents, dialect: Dialect) {
        let Some(text) = filter.text.as_deref().filter(|text| !text.is_empty()) else {
            return;
        };
        let text = self.value(text.to_lowercase());
        // `LIKE` would ask for escapes, and SQLite's is several times slower.
        let position = match dialect {
            Dialect::Sqlite => "instr",
            Dialect::Postgres => "strpos",
        };
        self.push(&format!(" AND 0 < {position}(a.search, {text})"));
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Takes a value and gives the name of its place in the text.
    pub(super) fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn list(&mut self, values: &[Box<str>]) -> String {
        let mut list = String::new();
        for value in values {
            let comma = if list.is_empty() { "" } else { "," };
            let place = self.value(&**value);
            write!(list, "{comma}{place}").expect("a String takes all text");
        }
        list
    }
}

/// Whether few agents have a label with one of its values. It looks at no more than those few.
async fn is_narrow(
    filter: &ListAgents,
    requirement: &Requirement,
    conn: &mut Conn,
) -> Result<bool, StoreError> {
    let mut built = Filter {
        text: String::new(),
        values: Vec::new(),
        order: "",
    };
    let list = built.labelled(filter, requirement);
    let text = format!("SELECT COUNT(*) FROM ({list} LIMIT {})", NARROW_AGENTS + 1);
    let count = query_built("counting the agents of a label", text)
        .bind_all(built.values)
        .read_one(conn, |row| row.count())
        .await?;
    Ok(count.is_some_and(|count| count <= NARROW_AGENTS))
}

fn one_value(requirement: &Requirement) -> Option<(&str, &str)> {
    match &requirement.operator {
        Operator::In(values) => match &**values {
            [value] => Some((&requirement.key, value)),
            _ => None,
        },
        Operator::NotIn(_) | Operator::Exists | Operator::Absent => None,
    }
}

/// Every agent of a namespace that a selector matches.
pub(super) fn matching(ns: &domain::Namespace, selector: &Selector) -> ListAgents {
    ListAgents {
        selector: selector.clone(),
        ..ListAgents::all(ns.clone())
    }
}
