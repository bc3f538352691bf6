//! What a name means where it stands: looked for in the innermost section's value,
//! then outwards.

use super::{
    json::Json,
    parse::Name,
    value::{Member, Value},
};

/// The value of a section, and the section around it.
pub(super) struct Context<'c, 'v> {
    /// Nothing for a `null` in a list.
    pub(super) value: Option<Value<'v>>,
    pub(super) outer: Option<&'c Context<'c, 'v>>,
    /// The position in the nearest list, from 1; 0 outside of any.
    pub(super) index: usize,
    pub(super) first: bool,
    pub(super) last: bool,
}

/// What became of looking for a name.
pub(super) enum Found<'v, 't> {
    Is(Value<'v>),
    Null,
    /// This name, or part of one, is nowhere.
    Missing(&'t str),
    /// A part in the middle of a name is not in the part before it.
    NoContext(&'t str),
    /// Asked of a `null` in a list.
    NullContext,
}

impl<'v> Context<'_, 'v> {
    /// Looks for a name: whole, in every context outwards; then, where it has dots,
    /// its first part so and each other in the one before it. `steps` counts the
    /// contexts searched. A fact has a `-` before its name.
    pub(super) fn find<'t>(
        &self,
        name: &Name<'t>,
        facts: &'v Json<'v>,
        steps: &mut u32,
    ) -> Found<'v, 't> {
        match self.find_part(name.whole, facts, steps) {
            Found::Missing(_) => {}
            found => return found,
        }
        let [first, rest @ ..] = name.parts.as_slice() else { return Found::Missing(name.whole) };
        if first.is_empty() && rest.is_empty() {
            return Found::Missing(name.whole);
        }
        let mut value = match self.find_part(first, facts, steps) {
            Found::Is(value) => value,
            found => return found,
        };
        for (index, part) in rest.iter().enumerate() {
            value = match value.member(part) {
                Member::Is(value) => value,
                Member::Null => return Found::Null,
                Member::Missing if index + 1 < rest.len() => return Found::NoContext(part),
                Member::Missing => return Found::Missing(name.whole),
            };
        }
        Found::Is(value)
    }

    fn find_part<'t>(&self, name: &'t str, facts: &'v Json<'v>, steps: &mut u32) -> Found<'v, 't> {
        match name {
            "-first" => return Found::Is(Value::Bool(self.first)),
            "-last" => return Found::Is(Value::Bool(self.last)),
            "-index" => return Found::Is(Value::Index(self.index)),
            _ => {}
        }
        let mut context = Some(self);
        while let Some(it) = context {
            *steps += 1;
            let Some(value) = it.value else { return Found::NullContext };
            match value.member(name) {
                Member::Is(value) => return Found::Is(value),
                Member::Null => return Found::Null,
                Member::Missing => context = it.outer,
            }
        }
        let fact = match (name.strip_prefix('-'), facts) {
            (Some(name), Json::Object(facts)) => facts.get(name).map(Member::of),
            _ => None,
        };
        match fact {
            Some(Member::Is(value)) => Found::Is(value),
            _ => Found::Missing(name),
        }
    }

    /// A name in reach that looks as if it was meant.
    pub(super) fn suggest(&self, name: &str) -> Option<String> {
        const NAMES_MAX: usize = 200;
        let mut names = Vec::new();
        let mut context = Some(self);
        while let Some(it) = context {
            if let Some(Value::Map(map)) = it.value {
                let keys = map.iter().map(|(key, _)| key);
                names.extend(keys.take(NAMES_MAX - names.len().min(NAMES_MAX)));
            }
            context = it.outer;
        }
        let allowed = 1 + name.len() / 5;
        let near = names.into_iter().map(|it| (distance(it, name, allowed), it));
        let best = near.filter(|(far, _)| *far <= allowed).min_by_key(|(far, _)| *far);
        best.map(|(_, it)| it.to_owned())
    }
}

/// How many letters must be changed, added or left out; more than `max` is only
/// known to be more.
fn distance(a: &str, b: &str, max: usize) -> usize {
    if a.len().abs_diff(b.len()) > max || a.len() > 64 {
        return max + 1;
    }
    let mut row = (0..=b.len()).collect::<Vec<_>>();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(!x.eq_ignore_ascii_case(&y));
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
