//! The names that a template looks at, found in its text.
//!
//! A label or variable that is named (`agent.labels.env`, `agent.labels["host.name"]`, `"env" in agent.labels`) is that
//! one; anything else that is done with `agent.labels` or `vars` looks at all of them.

use domain::{Names, Uses, Variables};
use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, Macro, Stmt};
use minijinja::machinery::{Span, Token, parse, tokenize};

use super::engine::{FILTERS, shortened, syntax, told};
use super::{Lines, TemplateError, shapes};

/// Tokens between two braces: an expression nests as deep as it is long, and so does what walks it.
const MOST_TOKENS: usize = 500;
/// `elif` of a template: each nests in the one before.
const MOST_ELIFS: usize = 100;
/// The names that are given.
const GIVEN: [&str; 2] = ["agent", "vars"];

/// The names that a template uses, whose variables have the values of one of these sets.
///
/// # Errors
/// The text is no template, or does what templates may not.
pub(crate) fn uses_with<'v>(
    source: &str,
    sets: impl IntoIterator<Item = &'v Variables>,
) -> Result<Uses, TemplateError> {
    check_lengths(source)?;
    let template = parse(source, "template", syntax()).map_err(|error| told(&error, source))?;
    let mut walk = Walk {
        lines: Lines::of(source),
        uses: Uses::default(),
    };
    walk.statement(&template)?;
    shapes::check(&template, &walk.lines, sets)?;
    Ok(walk.uses)
}

/// The most bytes of all values that a template is given for an agent, as JSON.
const VALUES_MAX_BYTES: usize = 256 << 10;

/// Checks a template that was taken before with values that were not known then: those of shared sets.
///
/// # Errors
/// Some value can have too many parts with them, or they are too large.
pub(crate) fn check_values(source: &str, variables: &Variables) -> Result<(), TemplateError> {
    let sizes = variables
        .iter()
        .map(|(name, value)| name.len() + value.to_string().len());
    let bytes: usize = sizes.sum();
    if VALUES_MAX_BYTES < bytes {
        let message = format!(
            "the variables that this looks at have {bytes} bytes for this agent, allowed are {VALUES_MAX_BYTES}: name those that it needs, or make the sets smaller"
        );
        return Err(refused(&Lines::of(source), Span::default(), message));
    }
    uses_with(source, [variables]).map(drop)
}

/// Nothing that the parser would follow deeper than there is stack.
fn check_lengths(source: &str) -> Result<(), TemplateError> {
    let (mut tokens, mut elifs) = (0, 0);
    for token in tokenize(source, false, syntax()) {
        let (token, span) = token.map_err(|error| told(&error, source))?;
        match token {
            Token::TemplateData(_) | Token::VariableEnd | Token::BlockEnd => tokens = 0,
            Token::Ident("elif") => elifs += 1,
            _ => {}
        }
        tokens += 1;
        let refusal = if MOST_TOKENS < tokens {
            format!(
                "more than {MOST_TOKENS} words and signs stand between two braces: use several `set`"
            )
        } else if MOST_ELIFS < elifs {
            format!(
                "there are more than {MOST_ELIFS} `elif`: look the value up in a variable that is a map"
            )
        } else {
            continue;
        };
        return Err(refused(&Lines::of(source), span, refusal));
    }
    Ok(())
}

pub(super) fn refused(lines: &Lines<'_>, span: Span, message: String) -> TemplateError {
    TemplateError {
        at: lines.position(span.start_offset as usize),
        message,
        lacks_variable: false,
    }
}

struct Walk<'t> {
    lines: Lines<'t>,
    uses: Uses,
}

type Walked = Result<(), TemplateError>;

/// What an expression is, of what is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Agent,
    Labels,
    Variables,
}

fn given(expression: &Expr<'_>) -> Option<Given> {
    let of_agent = |base: &Expr<'_>, name: &str| {
        (given(base) == Some(Given::Agent) && name == "labels").then_some(Given::Labels)
    };
    match expression {
        Expr::Var(name) if name.id == "agent" => Some(Given::Agent),
        Expr::Var(name) if name.id == "vars" => Some(Given::Variables),
        Expr::GetAttr(get) => of_agent(&get.expr, get.name),
        Expr::GetItem(get) => of_agent(&get.expr, constant(&get.subscript_expr)?.as_str()),
        _ => None,
    }
}

fn constant(expression: &Expr<'_>) -> Option<String> {
    match expression {
        Expr::Const(constant) => constant.value.as_str().map(str::to_owned),
        _ => None,
    }
}

impl Walk<'_> {
    fn refuse(&self, span: Span, message: impl Into<String>) -> Walked {
        Err(refused(&self.lines, span, message.into()))
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) -> Walked {
        statements.iter().try_for_each(|each| self.statement(each))
    }

    fn statement(&mut self, statement: &Stmt<'_>) -> Walked {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => Ok(()),
            Stmt::ForLoop(each) => {
                self.target(&each.target)?;
                self.expression(&each.iter)?;
                self.optional(each.filter_expr.as_ref())?;
                self.statements(&each.body)?;
                self.statements(&each.else_body)
            }
            Stmt::IfCond(choice) => {
                self.expression(&choice.expr)?;
                self.statements(&choice.true_body)?;
                self.statements(&choice.false_body)
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    self.target(target)?;
                    self.expression(value)?;
                }
                self.statements(&with.body)
            }
            Stmt::Set(set) => {
                self.target(&set.target)?;
                self.expression(&set.expr)
            }
            Stmt::SetBlock(set) => {
                self.target(&set.target)?;
                self.optional(set.filter.as_ref())?;
                self.statements(&set.body)
            }
            Stmt::FilterBlock(filter) => {
                self.expression(&filter.filter)?;
                self.statements(&filter.body)
            }
            Stmt::Macro(declared) => self.declared(declared, declared.span()),
            Stmt::CallBlock(block) => {
                self.expression(&block.call.expr)?;
                self.arguments(&block.call.args)?;
                self.declared(&block.macro_decl, block.macro_decl.span())
            }
            Stmt::Do(call) => {
                self.expression(&call.call.expr)?;
                self.arguments(&call.call.args)
            }
            Stmt::AutoEscape(escape) => self.refuse(
                escape.span(),
                "there is no `autoescape`, which is for HTML: quote with the filters `quote` and `yaml`",
            ),
        }
    }

    fn declared(&mut self, declared: &Macro<'_>, span: Span) -> Walked {
        self.own_name(declared.name, span)?;
        declared
            .args
            .iter()
            .try_for_each(|each| self.target(each))?;
        declared
            .defaults
            .iter()
            .try_for_each(|each| self.expression(each))?;
        self.statements(&declared.body)
    }

    /// A name that gets a value.
    fn target(&mut self, target: &Expr<'_>) -> Walked {
        match target {
            Expr::Var(name) => self.own_name(name.id, name.span()),
            Expr::List(list) => list.items.iter().try_for_each(|each| self.target(each)),
            Expr::Tuple(tuple) => tuple.items.iter().try_for_each(|each| self.target(each)),
            other => self.refuse(
                other.span(),
                "what is set once cannot be changed: give another name the new value",
            ),
        }
    }

    fn own_name(&self, name: &str, span: Span) -> Walked {
        if GIVEN.contains(&name) {
            return self.refuse(span, format!("`{name}` is given: take another name"));
        }
        Ok(())
    }

    fn optional(&mut self, expression: Option<&Expr<'_>>) -> Walked {
        expression.map_or(Ok(()), |expression| self.expression(expression))
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) -> Walked {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(value)
            | CallArg::Kwarg(_, value)
            | CallArg::PosSplat(value)
            | CallArg::KwargSplat(value) => self.expression(value),
        })
    }

    fn expression(&mut self, expression: &Expr<'_>) -> Walked {
        if let Some(given) = given(expression) {
            self.all_of(given);
            return Ok(());
        }
        match expression {
            Expr::Var(_) | Expr::Const(_) => Ok(()),
            Expr::Slice(slice) => {
                self.expression(&slice.expr)?;
                [&slice.start, &slice.stop, &slice.step]
                    .into_iter()
                    .try_for_each(|each| self.optional(each.as_ref()))
            }
            Expr::UnaryOp(operation) => self.expression(&operation.expr),
            Expr::BinOp(operation) => {
                if matches!(operation.op, BinOpKind::In) {
                    return self.looked_for(&operation.left, &operation.right);
                }
                self.expression(&operation.left)?;
                self.expression(&operation.right)
            }
            Expr::Compare(comparison) => {
                let mut left = &comparison.expr;
                for compared in &comparison.ops {
                    let looks = matches!(compared.op, CompareOpKind::In | CompareOpKind::NotIn);
                    if looks {
                        self.looked_for(left, &compared.expr)?;
                    } else {
                        self.expression(left)?;
                        self.expression(&compared.expr)?;
                    }
                    left = &compared.expr;
                }
                Ok(())
            }
            Expr::IfExpr(choice) => {
                self.expression(&choice.test_expr)?;
                self.expression(&choice.true_expr)?;
                self.optional(choice.false_expr.as_ref())
            }
            Expr::Filter(filter) => {
                self.known_filter(filter.name, filter.span())?;
                self.optional(filter.expr.as_ref())?;
                self.arguments(&filter.args)
            }
            Expr::Test(test) => {
                self.expression(&test.expr)?;
                self.arguments(&test.args)
            }
            Expr::GetAttr(get) => self.looked_up(&get.expr, Some(get.name), get.span()),
            Expr::GetItem(get) => {
                self.expression(&get.subscript_expr)?;
                let name = constant(&get.subscript_expr);
                self.looked_up(&get.expr, name.as_deref(), get.span())
            }
            Expr::Call(call) => {
                self.expression(&call.expr)?;
                self.arguments(&call.args)
            }
            Expr::List(list) => list.items.iter().try_for_each(|each| self.expression(each)),
            Expr::Tuple(tuple) => tuple
                .items
                .iter()
                .try_for_each(|each| self.expression(each)),
            Expr::Map(map) => {
                let mut parts = map.keys.iter().chain(&map.values);
                parts.try_for_each(|each| self.expression(each))
            }
        }
    }

    fn known_filter(&self, name: &str, span: Span) -> Walked {
        if FILTERS.contains(&name) {
            return Ok(());
        }
        let message = format!(
            "there is no filter `{}`; there are {}",
            shortened(name),
            FILTERS.join(", ")
        );
        self.refuse(span, message)
    }

    /// `name in agent.labels`.
    fn looked_for(&mut self, name: &Expr<'_>, among: &Expr<'_>) -> Walked {
        match (given(among), constant(name)) {
            (Some(given @ (Given::Labels | Given::Variables)), Some(name)) => {
                self.one_of(given, &name);
                Ok(())
            }
            _ => {
                self.expression(name)?;
                self.expression(among)
            }
        }
    }

    /// `base.name`, or `base[…]`.
    fn looked_up(&mut self, base: &Expr<'_>, name: Option<&str>, span: Span) -> Walked {
        match (given(base), name) {
            (Some(Given::Agent), Some("uid")) => {
                self.uses.uid = true;
                Ok(())
            }
            (Some(Given::Agent), Some(name)) => {
                let name = shortened(name);
                self.refuse(
                    span,
                    format!("an agent has `uid` and `labels`, and no `{name}`"),
                )
            }
            (Some(given), Some(name)) => {
                self.one_of(given, name);
                Ok(())
            }
            (Some(given), None) => {
                self.all_of(given);
                Ok(())
            }
            (None, _) => self.expression(base),
        }
    }

    fn one_of(&mut self, given: Given, name: &str) {
        match given {
            Given::Labels => self.uses.labels.add(name),
            Given::Variables => self.uses.variables.add(name),
            Given::Agent => self.all_of(given),
        }
    }

    fn all_of(&mut self, given: Given) {
        match given {
            Given::Labels => self.uses.labels = Names::All,
            Given::Variables => self.uses.variables = Names::All,
            Given::Agent => {
                self.uses.uid = true;
                self.uses.labels = Names::All;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str) -> String {
        match uses_with(source, []) {
            Ok(uses) => {
                let names = |names: &Names| match names {
                    Names::All => "*".to_owned(),
                    Names::Only(names) => Vec::from_iter(names.clone()).join(" "),
                };
                let uid = if uses.uid { "uid; " } else { "" };
                format!("{uid}{}; {}", names(&uses.labels), names(&uses.variables))
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_that_are_written_out_are_those_and_others_are_all() {
        for (source, expected) in [
            ("plain", "; "),
            ("{{ agent.labels.env }}{{ vars.rate }}", "env; rate"),
            ("{{ agent.labels['host.name'] }}", "host.name; "),
            ("{{ agent['labels']['a'] }}{{ agent.uid }}", "uid; a; "),
            ("{{ agent.labels[vars.key] }}", "*; key"),
            ("{% for k in agent.labels %}{% endfor %}", "*; "),
            (
                "{% if 'a' in agent.labels and 'b' not in vars %}{% endif %}",
                "a; b",
            ),
            ("{% if vars.k in agent.labels %}{% endif %}", "*; k"),
            ("{% set l = agent.labels %}{{ l.env }}", "*; "),
            ("{{ agent }}", "uid; *; "),
            ("{{ vars }}", "; *"),
            ("{{ vars.list[1:vars.n] }}", "; list n"),
            ("{{ vars.map.inner.env }}", "; map"),
            (
                "{{ agent.labels.a | default(vars.b, true) | replace(vars.c, 'x') }}",
                "a; b c",
            ),
            (
                "{{ vars.a if agent.labels.b is defined else vars.c }}",
                "b; a c",
            ),
            ("{{ 1 < vars.a < vars.b }}", "; a b"),
            (
                "{% macro m(x, y=vars.d) %}{{ x }}{{ vars.e }}{% endmacro %}{{ m(vars.f) }}",
                "; d e f",
            ),
            (
                "{% set x %}{{ vars.a }}{% endset %}{% filter indent(vars.b) %}{{ vars.c }}{% endfilter %}",
                "; a b c",
            ),
            (
                "{% with x = vars.a %}{{ x }}{% endwith %}{{ {'k': vars.b, vars.c: [(vars.d, 1)]} }}",
                "; a b c d",
            ),
            (
                "{% call(x) m(vars.a) %}{{ vars.b }}{% endcall %}{{ -vars.c }}{{ not vars.d }}",
                "; a b c d",
            ),
            ("{% raw %}{{ vars.a }}{% endraw %}{# vars.b #}", "; "),
        ] {
            assert_eq!(told(source), expected, "{source}");
        }
    }

    #[test]
    fn what_templates_may_not_do_is_refused_with_its_place() {
        for (source, expected) in [
            ("a\n  {{ x", "line 2, column"),
            (
                "{{ x | nofilter }}",
                "there is no filter `nofilter`; there are abs, ",
            ),
            ("{% set vars = 1 %}", "`vars` is given"),
            ("{% for agent in [] %}{% endfor %}", "`agent` is given"),
            ("{% macro m(vars) %}{% endmacro %}", "`vars` is given"),
            ("{% set x.y = 1 %}", "cannot be changed"),
            (
                "\n{{ agent.name }}",
                "line 2, column 4: an agent has `uid` and `labels`, and no `name`",
            ),
            (
                "{% autoescape true %}{% endautoescape %}",
                "no `autoescape`",
            ),
            ("{% include 'x' %}", "this is no template"),
        ] {
            let told = told(source);
            assert!(told.contains(expected), "{source}: {told}");
        }
    }

    #[test]
    fn what_nests_without_end_is_refused() {
        let many = |part: &str| part.repeat(100_000);
        for source in [
            format!("{{{{ {}x }}}}", many("-")),
            format!("{{{{ {}x }}}}", many("not ")),
            format!("{{{{ x{} }}}}", many("~x")),
            format!("{{{{ x{} }}}}", many(".y")),
            format!("{{{{ x{} }}}}", many("|d")),
            format!("{{{{ {}", many("[")),
            format!("{{% if x %}}{}{{% endif %}}", many("{% elif x %}")),
            many("{% if x %}"),
        ] {
            let start: String = source.chars().take(40).collect();
            assert!(uses_with(&source, []).is_err(), "{start}");
        }
    }

    /// The filters that are listed are those that the engine has.
    #[test]
    fn every_filter_that_is_listed_is_there() {
        assert!(FILTERS.is_sorted());
        for filter in FILTERS {
            let source = format!("{{{{ 'x' | {filter} }}}}");
            let compiled = super::super::Compiled::of(&source).unwrap();
            if let Err(error) = compiled.render(&crate::values::Values::none()) {
                assert!(
                    !error.message.contains("unknown filter"),
                    "{filter}: {error}"
                );
            }
        }
    }
}
