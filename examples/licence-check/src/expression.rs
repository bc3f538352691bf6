//! SPDX expressions: `(MIT OR Apache-2.0) AND Unicode-3.0`. `AND` binds closer than `OR`.

/// Deeper is nobody's licence.
const DEPTH_MAX: usize = 20;

/// The licences that keep an expression from being allowed; none where it is. Of an `OR`
/// that is refused, those of its first way. An error is what makes it no expression.
pub(crate) fn check(text: &str, allows: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let words = words(text);
    let mut reader = Reader { words: &words, allows: &allows, depth: 0 };
    let refused = reader.any()?;
    match reader.words.first() {
        None => Ok(refused),
        Some(word) => Err(format!("`{word}` is not expected")),
    }
}

fn words(text: &str) -> Vec<String> {
    let apart = text.replace('(', " ( ").replace(')', " ) ");
    apart.split_whitespace().map(str::to_owned).collect()
}

struct Reader<'a> {
    words: &'a [String],
    allows: &'a dyn Fn(&str) -> bool,
    depth: usize,
}

impl Reader<'_> {
    /// One way or another.
    fn any(&mut self) -> Result<Vec<String>, String> {
        let mut refused = self.all()?;
        while self.takes("OR") {
            let other = self.all()?;
            if other.is_empty() {
                refused.clear();
            }
        }
        Ok(refused)
    }

    /// Everything that is joined.
    fn all(&mut self) -> Result<Vec<String>, String> {
        let mut refused = self.one()?;
        while self.takes("AND") {
            refused.extend(self.one()?);
        }
        Ok(refused)
    }

    /// A licence, or an expression in parentheses.
    fn one(&mut self) -> Result<Vec<String>, String> {
        if self.takes("(") {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err("it has too many parentheses in each other".to_owned());
            }
            let refused = self.any()?;
            self.depth -= 1;
            return match self.takes(")") {
                true => Ok(refused),
                false => Err("a `)` is missing".to_owned()),
            };
        }
        let mut licence = self.name()?;
        if self.takes("WITH") {
            licence = format!("{licence} WITH {}", self.name()?);
        }
        let is_allowed = (self.allows)(&licence);
        Ok(if is_allowed { Vec::new() } else { vec![licence] })
    }

    fn name(&mut self) -> Result<String, String> {
        let is_name = |it: &str| {
            !["AND", "OR", "WITH"].iter().any(|word| word.eq_ignore_ascii_case(it))
                && it.bytes().all(|it| it.is_ascii_alphanumeric() || b"-.+:".contains(&it))
        };
        match self.words.split_first() {
            Some((word, rest)) if is_name(word) => {
                self.words = rest;
                Ok(word.clone())
            }
            Some((word, _)) => Err(format!("`{word}` is in the place of a licence")),
            None => Err("a licence is missing at its end".to_owned()),
        }
    }

    /// Steps over a word, if it comes next.
    fn takes(&mut self, word: &str) -> bool {
        let comes = self.words.first().is_some_and(|it| it.eq_ignore_ascii_case(word));
        if comes {
            self.words = &self.words[1..];
        }
        comes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Result<Vec<String>, String> {
        let allowed = ["MIT", "Apache-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"];
        check(text, |it| allowed.contains(&it))
    }

    #[test]
    fn there_must_be_a_way_with_nothing_but_what_is_allowed() {
        for text in [
            "MIT",
            "MIT AND Apache-2.0",
            "GPL-3.0-only OR MIT",
            "MIT OR GPL-3.0-only",
            "(GPL-3.0-only OR MIT) AND Apache-2.0",
            "GPL-3.0-only AND BSL-1.0 OR MIT",
            "GPL-2.0-only with Classpath-exception-2.0",
        ] {
            assert_eq!(refused(text), Ok(Vec::new()), "{text}");
        }
        for (text, because) in [
            ("GPL-3.0-only", vec!["GPL-3.0-only"]),
            ("MIT AND (GPL-3.0-only OR BSL-1.0)", vec!["GPL-3.0-only"]),
            ("GPL-2.0-only", vec!["GPL-2.0-only"]),
            ("A AND B", vec!["A", "B"]),
            ("MIT AND A OR B", vec!["A"]),
        ] {
            let because: Vec<String> = because.into_iter().map(str::to_owned).collect();
            assert_eq!(refused(text), Ok(because), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_told() {
        for text in
            ["MIT AND", "AND MIT", "MIT Apache-2.0", "(MIT", "MIT)", "MIT WITH", "MIT, ISC", ""]
        {
            assert!(refused(text).is_err(), "{text}");
        }
        assert!(refused(&format!("{}MIT{}", "(".repeat(21), ")".repeat(21))).is_err());
        assert!(refused(&format!("{}MIT{}", "(".repeat(20), ")".repeat(20))).is_ok());
    }
}
