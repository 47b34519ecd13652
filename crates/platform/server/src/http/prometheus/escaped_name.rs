//! Names in UTF-8 where only letters, digits and underscores may stand: `U__http_2e_status` is `http.status`.

/// Undoes Prometheus' escaping of names by values. What is not escaped so stays as it is.
pub(super) fn unescape(name: &str) -> String {
    name.strip_prefix("U__").and_then(read).unwrap_or_else(|| name.to_owned())
}

fn read(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, behind)) = rest.split_once('_') {
        out.push_str(before);
        // Two underscores are one; else a code point in hexadecimal digits stands between them.
        let (code, after) = behind.split_once('_')?;
        if code.is_empty() {
            out.push('_');
        } else {
            let is_hex = code.len() < 7 && code.bytes().all(|byte| byte.is_ascii_hexdigit());
            out.push(char::from_u32(u32::from_str_radix(code, 16).ok().filter(|_| is_hex)?)?);
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escaped_names_are_read() {
        for (escaped, name) in [
            ("U__http_2e_status", "http.status"),
            ("U__a__b", "a_b"),
            ("U___1F600_x", "😀x"),
            ("U__", ""),
            ("job", "job"),
        ] {
            assert_eq!(unescape(escaped), name);
        }
    }

    proptest! {
        #[test]
        fn any_name_is_read_or_stays(name in "(U__)?[_a-fA-F0-9zé]{0,30}|\\PC{0,30}") {
            let read = unescape(&name);
            prop_assert!(name.starts_with("U__") || read == name);
        }
    }

    #[test]
    fn what_is_not_quite_escaped_stays() {
        for name in ["U__a_2e", "U__a_", "U__a_zz_b", "U___110000_", "U___d800_", "U___1234567_", "U__+_+2e_"]
        {
            assert_eq!(unescape(name), name);
        }
    }
}
