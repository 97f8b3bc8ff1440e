//! Text made safe for HTML.

use std::fmt::{self, Display, Write};

/// Text for an HTML element or a quoted attribute.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_opens_markup_is_left() {
        let text = Escaped("<a href='x\"'>&</a>").to_string();
        assert_eq!(text, "&lt;a href=&#39;x&quot;&#39;&gt;&amp;&lt;/a&gt;");
    }
}
