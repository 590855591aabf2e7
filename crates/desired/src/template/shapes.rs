//! How large the values of a template can become, found in its text.
//!
//! Fuel pays for what a template makes, but not for what is made of shared parts: `[a, a]` costs two slots however large
//! `a` is, and forty of them in a row are more parts than could ever be compared, written or let go of. So the most parts and
//! levels that each value can have are computed beforehand, and templates refused in which they are too many.

use std::collections::HashMap;

use domain::Variables;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{
    BinOpKind, CallArg, CallType, CompareOpKind, Expr, Filter, Macro, Stmt,
};

use super::engine::MOST_TURNS;
use super::names::refused;
use super::{Lines, TemplateError};

/// Parts of a value, those of its parts included.
const MOST_PARTS: u64 = 100_000;
/// Levels of lists and maps within each other.
const MOST_LEVELS: usize = 150;
/// What may be compared as a whole.
const COMPARABLE: u64 = 64;
/// How often assignments are followed through the text before what still grows is refused.
const MOST_ROUNDS: usize = 20;

/// Filters that give a text or a number of whatever they are given.
const SCALAR: [&str; 20] = [
    "abs",
    "bool",
    "capitalize",
    "count",
    "float",
    "indent",
    "int",
    "join",
    "length",
    "lower",
    "quote",
    "replace",
    "round",
    "string",
    "title",
    "trim",
    "upper",
    "yaml",
    "d",
    "default",
];

/// The most parts that a value has, then the most that any of its parts has, and so on down.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape(Vec<u64>);

impl Shape {
    fn scalar() -> Self {
        Self(vec![1])
    }

    /// A list or map of these.
    fn of<'s>(parts: impl IntoIterator<Item = &'s Self>) -> Self {
        let (mut count, mut below) = (1_u64, Vec::new());
        for part in parts {
            count = count.saturating_add(part.parts());
            below = larger(&below, &part.0);
        }
        Self([vec![count], below].concat())
    }

    /// So many texts or numbers.
    fn many(count: u64) -> Self {
        Self(vec![count, 1])
    }

    fn of_json(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Array(items) => {
                Self::of(&items.iter().map(Self::of_json).collect::<Vec<_>>())
            }
            serde_json::Value::Object(entries) => {
                // A key is a part, too.
                let parts = entries.values().map(Self::of_json);
                let keyed = parts.flat_map(|part| [part, Self::scalar()]);
                Self::of(&keyed.collect::<Vec<_>>())
            }
            _ => Self::scalar(),
        }
    }

    fn parts(&self) -> u64 {
        self.0.first().copied().unwrap_or(1)
    }

    fn is_scalar(&self) -> bool {
        self.parts() <= 1
    }

    fn is_comparable(&self) -> bool {
        self.parts() <= COMPARABLE
    }

    /// What one of its parts can be.
    fn part(&self) -> Self {
        match self.0.get(1..) {
            Some(below) if !below.is_empty() => Self(below.to_vec()),
            _ => Self::scalar(),
        }
    }

    /// Either of them.
    fn or(&self, other: &Self) -> Self {
        Self(larger(&self.0, &other.0))
    }
}

fn larger(one: &[u64], other: &[u64]) -> Vec<u64> {
    let at = |levels: &[u64], level: usize| levels.get(level).copied().unwrap_or(0);
    let levels = 0..one.len().max(other.len());
    levels
        .map(|level| at(one, level).max(at(other, level)))
        .collect()
}

/// Refuses a template in which some value can have too many parts, or in which large ones are compared.
///
/// # Errors
/// [`TemplateError`] names the place.
pub(super) fn check<'v>(
    template: &Stmt<'_>,
    lines: &Lines<'_>,
    sets: impl IntoIterator<Item = &'v Variables>,
) -> Result<(), TemplateError> {
    let mut walk = Walk {
        lines,
        variables: HashMap::new(),
        names: HashMap::new(),
        macros: HashMap::new(),
        grown: None,
    };
    for (name, value) in sets.into_iter().flatten() {
        let shape = Shape::of_json(value);
        let known = walk.variables.entry(name.clone());
        known
            .and_modify(|known| *known = known.or(&shape))
            .or_insert(shape);
    }
    for _ in 0..MOST_ROUNDS {
        walk.grown = None;
        walk.statement(template)?;
        if walk.grown.is_none() {
            return Ok(());
        }
    }
    let (name, span) = walk.grown.unwrap_or_default();
    Err(refused(
        lines,
        span,
        format!("`{name}` is made of itself: give each step a name of its own"),
    ))
}

type Shaped = Result<Shape, TemplateError>;
type Walked = Result<(), TemplateError>;

struct Walk<'t, 'l> {
    lines: &'t Lines<'l>,
    /// The variables of the revision.
    variables: HashMap<String, Shape>,
    /// What was assigned, wherever in the text.
    names: HashMap<String, Shape>,
    /// The names that macros give to what they are called with.
    macros: HashMap<String, Vec<String>>,
    /// What grew in this round.
    grown: Option<(String, Span)>,
}

impl Walk<'_, '_> {
    fn refuse<T>(&self, span: Span, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(refused(self.lines, span, message.into()))
    }

    fn limited(&self, shape: Shape, span: Span) -> Shaped {
        if MOST_PARTS < shape.parts() || MOST_LEVELS < shape.0.len() {
            return self.refuse(
                span,
                format!("this could have more than {MOST_PARTS} parts, or more than {MOST_LEVELS} levels of lists and maps"),
            );
        }
        Ok(shape)
    }

    fn assign(&mut self, name: &str, shape: &Shape, span: Span) {
        let known = self.names.get(name);
        let joined = known.map_or_else(|| shape.clone(), |known| known.or(shape));
        if known != Some(&joined) {
            self.grown = Some((name.to_owned(), span));
            self.names.insert(name.to_owned(), joined);
        }
    }

    fn target(&mut self, target: &Expr<'_>, shape: &Shape) {
        match target {
            Expr::Var(name) => self.assign(name.id, shape, name.span()),
            Expr::List(list) => list
                .items
                .iter()
                .for_each(|each| self.target(each, &shape.part())),
            Expr::Tuple(tuple) => tuple
                .items
                .iter()
                .for_each(|each| self.target(each, &shape.part())),
            // Other targets are refused.
            _ => {}
        }
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) -> Walked {
        statements.iter().try_for_each(|each| self.statement(each))
    }

    fn statement(&mut self, statement: &Stmt<'_>) -> Walked {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => self.shape(&emit.expr).map(drop),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) | Stmt::AutoEscape(_) => Ok(()),
            Stmt::ForLoop(each) => {
                if each.recursive {
                    return self.refuse(each.span(), "there are no recursive loops: use a macro");
                }
                let shape = self.shape(&each.iter)?;
                self.target(&each.target, &shape.part());
                self.optional(each.filter_expr.as_ref())?;
                self.statements(&each.body)?;
                self.statements(&each.else_body)
            }
            Stmt::IfCond(choice) => {
                self.shape(&choice.expr)?;
                self.statements(&choice.true_body)?;
                self.statements(&choice.false_body)
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    let shape = self.shape(value)?;
                    self.target(target, &shape);
                }
                self.statements(&with.body)
            }
            Stmt::Set(set) => {
                let shape = self.shape(&set.expr)?;
                self.target(&set.target, &shape);
                Ok(())
            }
            Stmt::SetBlock(set) => {
                self.statements(&set.body)?;
                let shape = match &set.filter {
                    Some(filter) => self.shape(filter)?,
                    None => Shape::scalar(),
                };
                self.target(&set.target, &shape);
                Ok(())
            }
            Stmt::FilterBlock(filter) => {
                self.shape(&filter.filter)?;
                self.statements(&filter.body)
            }
            Stmt::Macro(declared) => self.declared(declared.name, declared, declared.span()),
            Stmt::CallBlock(block) => {
                self.declared("caller", &block.macro_decl, block.macro_decl.span())?;
                self.call(&block.call).map(drop)
            }
            Stmt::Do(call) => self.call(&call.call).map(drop),
        }
    }

    fn declared(&mut self, name: &str, declared: &Macro<'_>, span: Span) -> Walked {
        let named = |argument: &Expr<'_>| match argument {
            Expr::Var(name) => Some(name.id.to_owned()),
            _ => None,
        };
        let arguments: Vec<String> = declared.args.iter().filter_map(named).collect();
        let known = self.macros.entry(name.to_owned()).or_default();
        // Of several macros of a name any may be meant.
        let new: Vec<String> = arguments
            .into_iter()
            .filter(|name| !known.contains(name))
            .collect();
        if !new.is_empty() {
            known.extend(new);
            // What was called before it is known is looked at once more.
            self.grown = Some((name.to_owned(), span));
        }
        // Defaults belong to the last arguments.
        let without = declared.args.len().saturating_sub(declared.defaults.len());
        for (argument, default) in declared.args.iter().skip(without).zip(&declared.defaults) {
            let shape = self.shape(default)?;
            self.target(argument, &shape);
        }
        self.statements(&declared.body)
    }

    fn optional(&mut self, expression: Option<&Expr<'_>>) -> Walked {
        expression.map_or(Ok(()), |expression| self.shape(expression).map(drop))
    }

    fn shape(&mut self, expression: &Expr<'_>) -> Shaped {
        let span = expression.span();
        let shape = match expression {
            Expr::Const(constant) => of_constant(&constant.value),
            Expr::Var(name) => self.named(name.id),
            Expr::Slice(slice) => {
                for bound in [&slice.start, &slice.stop, &slice.step] {
                    self.optional(bound.as_ref())?;
                }
                self.shape(&slice.expr)?
            }
            Expr::UnaryOp(operation) => {
                self.shape(&operation.expr)?;
                Shape::scalar()
            }
            Expr::BinOp(operation) => {
                let (left, right) = (self.shape(&operation.left)?, self.shape(&operation.right)?);
                self.operated(operation.op, (&left, &right), span)?
            }
            Expr::Compare(comparison) => {
                let mut left = self.shape(&comparison.expr)?;
                for compared in &comparison.ops {
                    let right = self.shape(&compared.expr)?;
                    let looks = matches!(compared.op, CompareOpKind::In | CompareOpKind::NotIn);
                    self.compared((&left, &right), looks, span)?;
                    left = right;
                }
                Shape::scalar()
            }
            Expr::IfExpr(choice) => {
                self.shape(&choice.test_expr)?;
                let one = self.shape(&choice.true_expr)?;
                match &choice.false_expr {
                    Some(other) => one.or(&self.shape(other)?),
                    None => one,
                }
            }
            Expr::Filter(filter) => self.filtered(filter, span)?,
            Expr::Test(test) => {
                let left = self.shape(&test.expr)?;
                for argument in self.arguments(&test.args)? {
                    self.compared((&left, &argument), test.name == "in", span)?;
                }
                Shape::scalar()
            }
            Expr::GetAttr(get) => self.looked_up(&get.expr, Some(get.name))?,
            Expr::GetItem(get) => {
                let key = self.shape(&get.subscript_expr)?;
                if !key.is_comparable() {
                    return self.refuse(span, "what is looked up is a text or a number");
                }
                let name = match &get.subscript_expr {
                    Expr::Const(constant) => constant.value.as_str().map(str::to_owned),
                    _ => None,
                };
                self.looked_up(&get.expr, name.as_deref())?
            }
            Expr::Call(call) => self.call(call)?,
            Expr::List(list) => Shape::of(&self.all(&list.items)?),
            Expr::Tuple(tuple) => Shape::of(&self.all(&tuple.items)?),
            Expr::Map(map) => {
                let keys = self.all(&map.keys)?;
                if keys.iter().any(|key| !key.is_comparable()) {
                    return self.refuse(span, "the keys of a map are texts or numbers");
                }
                let values = self.all(&map.values)?;
                Shape::of(keys.iter().chain(&values))
            }
        };
        self.limited(shape, span)
    }

    fn all(&mut self, expressions: &[Expr<'_>]) -> Result<Vec<Shape>, TemplateError> {
        expressions.iter().map(|each| self.shape(each)).collect()
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) -> Result<Vec<Shape>, TemplateError> {
        let shapes = arguments.iter().map(|argument| match argument {
            CallArg::Pos(value)
            | CallArg::Kwarg(_, value)
            | CallArg::PosSplat(value)
            | CallArg::KwargSplat(value) => self.shape(value),
        });
        shapes.collect()
    }

    fn named(&self, name: &str) -> Shape {
        match name {
            "vars" => {
                let parts = self.variables.values().cloned();
                let keyed = parts.flat_map(|part| [part, Shape::scalar()]);
                Shape::of(&keyed.collect::<Vec<_>>())
            }
            // Uid and at most 3 x 128 labels.
            "agent" => Shape(vec![1_000, 800, 1]),
            "loop" => Shape::many(16),
            _ => self.names.get(name).cloned().unwrap_or_else(Shape::scalar),
        }
    }

    fn looked_up(&mut self, base: &Expr<'_>, name: Option<&str>) -> Shaped {
        if let (Expr::Var(given), Some(name)) = (base, name)
            && given.id == "vars"
        {
            let known = self.variables.get(name);
            return Ok(known.cloned().unwrap_or_else(Shape::scalar));
        }
        Ok(self.shape(base)?.part())
    }

    fn operated(&self, operator: BinOpKind, (left, right): (&Shape, &Shape), span: Span) -> Shaped {
        match operator {
            BinOpKind::ScAnd | BinOpKind::ScOr => Ok(left.or(right)),
            BinOpKind::Add if !(left.is_scalar() && right.is_scalar()) => {
                let mut joined = left.or(right);
                if let Some(parts) = joined.0.first_mut() {
                    *parts = left.parts().saturating_add(right.parts());
                }
                Ok(joined)
            }
            BinOpKind::Mul if !(left.is_scalar() && right.is_scalar()) => {
                self.refuse(span, "`*` is for numbers")
            }
            BinOpKind::In => {
                self.compared((left, right), true, span)?;
                Ok(Shape::scalar())
            }
            BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte => {
                self.compared((left, right), false, span)?;
                Ok(Shape::scalar())
            }
            _ => Ok(Shape::scalar()),
        }
    }

    /// A comparison goes no further than the smaller of the two.
    fn compared(&self, (left, right): (&Shape, &Shape), looks: bool, span: Span) -> Walked {
        let right = if looks { right.part() } else { right.clone() };
        if left.is_comparable() || right.is_comparable() {
            return Ok(());
        }
        self.refuse(
            span,
            format!("lists and maps of more than {COMPARABLE} parts are not compared: compare their parts"),
        )
    }

    fn filtered(&mut self, filter: &Filter<'_>, span: Span) -> Shaped {
        let base = match &filter.expr {
            Some(expression) => self.shape(expression)?,
            None => Shape::scalar(),
        };
        let arguments = self.arguments(&filter.args)?;
        let by_attribute = filter
            .args
            .iter()
            .any(|argument| matches!(argument, CallArg::Kwarg("attribute", _)));
        Ok(match filter.name {
            "d" | "default" => arguments.iter().fold(base, |shape, other| shape.or(other)),
            name if SCALAR.contains(&name) => Shape::scalar(),
            "items" | "dictsort" => {
                let pair =
                    Shape([vec![base.part().parts().saturating_add(2)], base.part().0].concat());
                Shape([vec![base.parts().saturating_mul(3)], pair.0].concat())
            }
            "split" | "lines" => Shape::many(MOST_PARTS),
            "first" | "last" => base.part(),
            "min" | "max" | "sort" | "unique" => {
                let compared = if by_attribute {
                    base.part().part()
                } else {
                    base.part()
                };
                if !compared.is_comparable() {
                    return self.refuse(span, "lists and maps are put in order by `attribute=…`");
                }
                match filter.name {
                    "min" | "max" => base.part(),
                    _ => base,
                }
            }
            "select" | "reject" | "selectattr" | "rejectattr" => {
                if arguments.iter().any(|argument| !argument.is_comparable()) {
                    return self.refuse(span, "what is compared here is a text or a number");
                }
                base
            }
            "map" => self.mapped(filter, &base, span)?,
            // list, reverse, sum.
            _ => base,
        })
    }

    fn mapped(&self, filter: &Filter<'_>, base: &Shape, span: Span) -> Shaped {
        match filter.args.as_slice() {
            [CallArg::Kwarg("attribute", _)] => {
                let below = base.part().part();
                Ok(Shape([vec![base.parts()], below.0].concat()))
            }
            [CallArg::Pos(Expr::Const(name)), rest @ ..]
                if name.value.as_str().is_some_and(|name| {
                    SCALAR.contains(&name) && name != "d" && name != "default"
                }) && rest.len() < 4 =>
            {
                Ok(Shape::many(base.parts()))
            }
            _ => self.refuse(
                span,
                "`map` takes `attribute=…`, or the name of a filter that gives a text or a number",
            ),
        }
    }

    fn call(&mut self, call: &minijinja::machinery::ast::Call<'_>) -> Shaped {
        let arguments = self.arguments(&call.args)?;
        match call.identify_call() {
            CallType::Function("range") => return Ok(Shape::many(MOST_TURNS)),
            CallType::Function("dict") => return Ok(Shape::of(&arguments)),
            CallType::Function(name) if self.macros.contains_key(name) => {
                let names = self.macros.get(name).cloned().unwrap_or_default();
                self.called(&names, &arguments, call);
            }
            other => {
                if let CallType::Method(base, _) | CallType::Object(base) = other {
                    self.shape(base)?;
                }
                // Whatever it is: any macro, or a method that gives back what it was given.
                let names = self.macros.values().flatten().cloned().collect::<Vec<_>>();
                self.called(&names, &arguments, call);
                return Ok(arguments
                    .iter()
                    .fold(Shape::scalar(), |shape, other| shape.or(other)));
            }
        }
        // Macros make texts.
        Ok(Shape::scalar())
    }

    /// Any of the arguments may get any of the names.
    fn called(
        &mut self,
        names: &[String],
        arguments: &[Shape],
        call: &minijinja::machinery::ast::Call<'_>,
    ) {
        let any = arguments
            .iter()
            .fold(Shape::scalar(), |shape, other| shape.or(other));
        let any = if call
            .args
            .iter()
            .any(|argument| matches!(argument, CallArg::PosSplat(_) | CallArg::KwargSplat(_)))
        {
            any.or(&any.part())
        } else {
            any
        };
        for name in names {
            self.assign(name, &any, call.expr.span());
        }
    }
}

fn of_constant(value: &minijinja::Value) -> Shape {
    match value.len() {
        Some(count) if value.as_str().is_none() => {
            let items = value.try_iter().into_iter().flatten();
            let parts: Vec<Shape> = items.take(count).map(|item| of_constant(&item)).collect();
            Shape::of(parts.iter().chain(&parts))
        }
        _ => Shape::scalar(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::uses_with;
    use super::*;

    fn refusal(source: &str) -> Option<String> {
        let variables: Variables = serde_json::from_str(
            r#"{"n": 2, "list": [1, 2, 3], "maps": [{"name": "a", "port": 1}, {"name": "b", "port": 2}], "big": [[1,2,3,4,5,6,7,8,9,10],[1,2,3,4,5,6,7,8,9,10],[1,2,3,4,5,6,7,8,9,10],[1,2,3,4,5,6,7,8,9,10],[1,2,3,4,5,6,7,8,9,10],[1,2,3,4,5,6,7,8,9,10],[1,2,3,4,5,6,7,8,9,10]]}"#,
        )
        .unwrap();
        uses_with(source, [&variables])
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn what_templates_ordinarily_do_is_taken() {
        for source in [
            "{% for p in vars.list %}{{ p * 2 + vars.n }}{% endfor %}",
            "{% for m in vars.maps %}{{ m.name }}: {{ m.port + 1 }}{% endfor %}",
            "{{ vars.maps | map(attribute='name') | join(',') }}",
            "{{ vars.list | map('string') | join(',') }}{{ vars.list | sort | first }}",
            "{{ vars.maps | sort(attribute='port') | map(attribute='name') | list }}",
            "{% for k, v in vars.maps[0] | items %}{{ k }}={{ v * 2 }}{% endfor %}",
            "{% for k, v in agent.labels | dictsort %}{{ k }}{% if v == 'x' %}{% endif %}{% endfor %}",
            "{% macro port(name, n=4317) %}{{ name }}:{{ n + 1 }}{% endmacro %}{{ port('a') }}{{ port('b', vars.n) }}",
            "{% set all = vars.list + [4, 5] %}{% set more = all + [6] %}{{ more | length }}{% if 4 in more %}{% endif %}",
            "{% set x = vars.missing | default([]) %}{% if x == [] %}{% endif %}{% set x = x | list %}",
            "{% if vars.list == [1, 2, 3] %}{% endif %}{{ 'a' if vars.n is eq(2) else 'b' }}",
            "{% for i in range(10) %}{{ i }}{{ loop.index * 2 }}{% endfor %}{{ 'a,b' | split(',') | length }}",
            "{% set m = {'a': [1, {'b': 2}]} %}{{ m.a[1].b * 3 }}{{ vars.maps | selectattr('name', 'eq', 'a') | list }}",
        ] {
            assert_eq!(refusal(source), None, "{source}");
        }
    }

    #[test]
    fn values_that_could_grow_without_end_are_refused() {
        let steps = |count: usize, first: &str, step: &dyn Fn(usize) -> String| {
            let steps: String = (1..count).map(step).collect();
            format!("{{% set a0 = {first} %}}{steps}")
        };
        let doubled = steps(45, "[0]", &|n| {
            format!("{{% set a{n} = [a{0}, a{0}] %}}", n - 1)
        });
        let deep = steps(160, "[0]", &|n| format!("{{% set a{n} = [a{}] %}}", n - 1));
        let inner = format!("{{% set a = {}0{} %}}", "[".repeat(60), "]".repeat(60));
        for (source, expected) in [
            (doubled.as_str(), "more than 100000 parts"),
            (&deep, "150 levels"),
            (
                &format!("{inner}{inner}").replace("[0]", "[a]"),
                "150 levels",
            ),
            (
                "{% set a = [0] %}{% for i in range(9) %}{% set a = [a, a] %}{% endfor %}",
                "more than 100000 parts",
            ),
            (
                "{% macro m(x) %}{{ m([x, x]) }}{% endmacro %}{{ m(1) }}",
                "more than 100000 parts",
            ),
            (
                "{% macro m(x) %}{% set f = m %}{{ f([x]) }}{% endmacro %}{{ m(1) }}",
                "made of itself",
            ),
            (
                "{% for x in [[]] recursive %}{{ loop([x]) }}{% endfor %}",
                "recursive",
            ),
            ("{{ vars.big == vars.big }}", "not compared"),
            // It is called before it stands there.
            (
                "{% macro a() %}{{ b(vars.big) }}{% endmacro %}{% macro b(y) %}{% if y == y %}{% endif %}{% endmacro %}{{ a() }}",
                "not compared",
            ),
            ("{{ vars.big in [vars.big] }}", "not compared"),
            ("{{ vars.big is eq(vars.big) }}", "not compared"),
            ("{{ [vars.big, vars.big] | unique }}", "attribute"),
            ("{{ vars.list * 1000000 }}", "`*` is for numbers"),
            ("{{ vars.list | map('default', vars.big) }}", "`map` takes"),
            ("{% set m = {vars.big: 1} %}", "keys of a map"),
        ] {
            let refusal = refusal(source).unwrap_or_default();
            let start: String = source.chars().take(80).collect();
            assert!(refusal.contains(expected), "{start}: {refusal:?}");
        }
    }
}
