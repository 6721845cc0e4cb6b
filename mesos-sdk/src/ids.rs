//! Ids and role names: short constructors, and the checks that Mesos makes.

use mesos_proto::v1;

/// A name that Mesos refuses. The text is Mesos's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(String);

/// Makes a task id.
pub fn task_id(value: impl Into<String>) -> v1::TaskId {
    v1::TaskId {
        value: value.into(),
    }
}

/// Makes a framework id.
pub fn framework_id(value: impl Into<String>) -> v1::FrameworkId {
    v1::FrameworkId {
        value: value.into(),
    }
}

/// Makes an agent id.
pub fn agent_id(value: impl Into<String>) -> v1::AgentId {
    v1::AgentId {
        value: value.into(),
    }
}

/// Makes an offer id.
pub fn offer_id(value: impl Into<String>) -> v1::OfferId {
    v1::OfferId {
        value: value.into(),
    }
}

/// Makes an executor id.
pub fn executor_id(value: impl Into<String>) -> v1::ExecutorId {
    v1::ExecutorId {
        value: value.into(),
    }
}

/// Makes an operation's id.
pub fn operation_id(value: impl Into<String>) -> v1::OperationId {
    v1::OperationId {
        value: value.into(),
    }
}

/// Checks a task, executor or framework id: not empty, at most 255 bytes, no
/// `.` or `..`, no slash, backslash or control character
/// (`src/common/validation.cpp`).
///
/// # Errors
///
/// Mesos's text for what is wrong.
pub fn validate_id(id: &str) -> Result<(), InvalidName> {
    const LONGEST: usize = 255;
    if id.is_empty() {
        return Err(InvalidName("ID must not be empty".to_owned()));
    }
    if id.len() > LONGEST {
        return Err(InvalidName(format!(
            "ID must not be greater than {LONGEST} characters"
        )));
    }
    if id == "." || id == ".." {
        return Err(InvalidName(format!("'{id}' is disallowed")));
    }
    if id.contains(|c: char| c.is_ascii_control() || c == '/' || c == '\\') {
        return Err(InvalidName(format!("'{id}' contains invalid characters")));
    }
    Ok(())
}

/// Checks the name of a role (`docs/roles.md`, "Invalid Role Names").
///
/// # Errors
///
/// Mesos's text for what is wrong.
pub fn validate_role(role: &str) -> Result<(), InvalidName> {
    if role == "*" {
        return Ok(());
    }
    let refuse = |text: String| Err(InvalidName(text));
    if role.starts_with('/') {
        return refuse(format!("Role '{role}' cannot start with a slash"));
    }
    if role.ends_with('/') {
        return refuse(format!("Role '{role}' cannot end with a slash"));
    }
    if role.contains("//") {
        return refuse(format!("Role '{role}' cannot contain two adjacent slashes"));
    }
    if role.is_empty() {
        return refuse("Role names cannot be the empty string".to_owned());
    }
    for component in role.split('/') {
        if matches!(component, "." | ".." | "*") {
            return refuse(format!(
                "Role '{role}' cannot include '{component}' as a component"
            ));
        }
        if component.starts_with('-') {
            return refuse(format!(
                "Role component '{component}' is invalid because it starts with a dash"
            ));
        }
        let is_blank = |c: char| matches!(c, '\t'..='\r' | ' ' | '\x7f');
        if component.contains(is_blank) {
            return refuse(format!(
                "Role component '{component}' is invalid because it contains backspace or whitespace"
            ));
        }
    }
    Ok(())
}

/// Whether `role` lies below `ancestor` in the tree of roles.
#[must_use]
pub fn is_strict_subrole_of(role: &str, ancestor: &str) -> bool {
    role.strip_prefix(ancestor)
        .is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(role: &str) -> String {
        validate_role(role).unwrap_err().to_string()
    }

    #[test]
    fn roles_are_paths_of_plain_names() {
        for good in ["*", "web", "eng/web", "a.b", "eng/.hidden"] {
            assert_eq!(validate_role(good), Ok(()), "{good}");
        }
        assert_eq!(
            refusal("bad role"),
            "Role component 'bad role' is invalid because it contains backspace or whitespace"
        );
        assert_eq!(refusal("/a"), "Role '/a' cannot start with a slash");
        assert_eq!(refusal("a/"), "Role 'a/' cannot end with a slash");
        assert_eq!(
            refusal("a//b"),
            "Role 'a//b' cannot contain two adjacent slashes"
        );
        assert_eq!(
            refusal("a/../b"),
            "Role 'a/../b' cannot include '..' as a component"
        );
        assert_eq!(
            refusal("a/*"),
            "Role 'a/*' cannot include '*' as a component"
        );
        assert_eq!(refusal(""), "Role names cannot be the empty string");
        assert_eq!(
            refusal("a/-b"),
            "Role component '-b' is invalid because it starts with a dash"
        );
    }

    #[test]
    fn ids_are_names_of_one_path_component() {
        assert_eq!(validate_id("task-1.a"), Ok(()));
        let text = |id: &str| validate_id(id).unwrap_err().to_string();
        assert_eq!(text("bad/id"), "'bad/id' contains invalid characters");
        assert_eq!(text(".."), "'..' is disallowed");
        assert_eq!(text(""), "ID must not be empty");
        assert!(text(&"x".repeat(256)).starts_with("ID must not be greater than 255"));
    }

    #[test]
    fn a_role_is_not_its_own_subrole() {
        assert!(is_strict_subrole_of("a/b", "a"));
        assert!(!is_strict_subrole_of("a", "a"));
        assert!(!is_strict_subrole_of("ab", "a"));
    }
}
