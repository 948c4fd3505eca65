//! What an approved template must look like, in schedules and notifications alike.

/// Whether this can be a template's SID; if not, what would be one.
pub fn check_content_sid(sid: &str) -> Result<(), &'static str> {
    let is_one =
        sid.len() == 34 && sid.starts_with("HX") && sid.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit());
    if is_one { Ok(()) } else { Err("it must be HX and 32 hex digits") }
}

/// Whether WhatsApp takes this as a variable's value; if not, why.
pub fn check_variable(value: &str) -> Result<(), &'static str> {
    if value.trim().is_empty() || value.contains(['\n', '\t', '\0']) {
        return Err("it must be a text that is not blank and has no line breaks or tabs");
    }
    Ok(())
}
