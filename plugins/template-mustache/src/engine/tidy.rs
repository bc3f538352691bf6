//! Lines that hold nothing but a section's tag, a comment or a change of
//! delimiters leave nothing behind, not even their end.

use super::parse::Node;

/// Text between tags, with what it would lose beside a tag that stands alone.
#[derive(Debug)]
pub(super) struct Text<'t> {
    pub(super) text: &'t str,
    /// The length of the rest of a line that it begins with, if that is blank.
    lead: Option<usize>,
    /// Where the line that it ends in begins, if that is blank so far.
    trail: Option<usize>,
}

impl<'t> Text<'t> {
    /// `first` says that the template begins with it.
    pub(super) fn new(text: &'t str, first: bool) -> Self {
        let lead = text.find('\n').map(|it| it + 1).filter(|it| blank(&text[..*it]));
        let trail = match text.rfind('\n') {
            Some(newline) => Some(newline + 1),
            None => first.then_some(0),
        };
        Text { text, lead, trail: trail.filter(|it| blank(&text[*it..])) }
    }

    fn drop_lead(&mut self) {
        if let Some(lead) = self.lead.take() {
            self.text = &self.text[lead..];
            self.trail = self.trail.map(|it| it - lead);
        }
    }

    fn drop_trail(&mut self) {
        if let Some(trail) = self.trail.take() {
            self.text = &self.text[..trail];
        }
    }
}

/// Takes the ends of lines off around tags that stand alone. Inside a section,
/// only a text can be such a neighbour; in the `top` also the template's ends.
pub(super) fn tidy(nodes: &mut [Node<'_>], top: bool) {
    for index in 0..nodes.len() {
        let (before, rest) = nodes.split_at_mut(index);
        let Some((node, after)) = rest.split_first_mut() else { return };
        let mut before = before.last_mut();
        let mut after = after.first_mut();
        let blank_before = before.as_deref().map_or(top, |it| trails(it));
        let blank_after = after.as_deref().map_or(top, |it| leads(it));

        match node {
            Node::Section { nodes, .. } => {
                if let Some(first) = nodes.first_mut()
                    && blank_before
                    && leads(first)
                {
                    before.as_deref_mut().into_iter().for_each(drop_trail);
                    drop_lead(first);
                }
                if let Some(last) = nodes.last_mut()
                    && blank_after
                    && trails(last)
                {
                    drop_trail(last);
                    after.as_deref_mut().into_iter().for_each(drop_lead);
                }
            }
            Node::Nothing if blank_before && blank_after => {
                before.into_iter().for_each(drop_trail);
                after.into_iter().for_each(drop_lead);
            }
            _ => {}
        }
    }
}

fn leads(node: &Node<'_>) -> bool {
    matches!(node, Node::Text(it) if it.lead.is_some())
}

fn trails(node: &Node<'_>) -> bool {
    matches!(node, Node::Text(it) if it.trail.is_some())
}

fn drop_lead(node: &mut Node<'_>) {
    if let Node::Text(it) = node {
        it.drop_lead();
    }
}

fn drop_trail(node: &mut Node<'_>) {
    if let Node::Text(it) = node {
        it.drop_trail();
    }
}

/// Nothing but what Java calls white space.
fn blank(text: &str) -> bool {
    text.chars().all(|it| match it {
        '\u{a0}' | '\u{2007}' | '\u{202f}' => false,
        '\u{1c}'..='\u{1f}' => true,
        it => it.is_whitespace(),
    })
}
