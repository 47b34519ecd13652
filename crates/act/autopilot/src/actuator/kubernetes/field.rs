//! Fields of a deployment that can be knobs.

use serde_json::{Value, json};

/// One field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    /// `.spec.replicas`.
    Replicas,
    /// What a container may use, or asks for.
    Resource {
        container: String,
        /// `limits` or `requests`.
        side: String,
        /// `cpu` or `memory`.
        resource: String,
    },
    /// A variable in a container's environment.
    Variable { container: String, name: String },
}

impl Field {
    /// Reads `replicas`, `container/app/limits/cpu` or `container/app/env/NAME`.
    pub(super) fn read(text: &str) -> Result<Field, String> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["replicas"] => Ok(Field::Replicas),
            ["container", container, "env", name] => {
                Ok(Field::Variable { container: container.to_owned(), name: name.to_owned() })
            }
            ["container", container, side @ ("limits" | "requests"), resource @ ("cpu" | "memory")] => {
                let (container, side, resource) =
                    (container.to_owned(), side.to_owned(), resource.to_owned());
                Ok(Field::Resource { container, side, resource })
            }
            _ => Err(format!(
                "{text:?} is none; give replicas, container/NAME/limits/cpu, container/NAME/requests/memory or container/NAME/env/VARIABLE"
            )),
        }
    }

    /// What is set for it in `object`.
    pub(super) fn text(&self, object: &Value) -> Result<Option<String>, String> {
        self.exists(object)?;
        let value = match self {
            Field::Replicas => &object["spec"]["replicas"],
            Field::Resource { container, side, resource } => {
                &of_container(object, container)["resources"][side][resource]
            }
            Field::Variable { container, name } => &variable(of_container(object, container), name)["value"],
        };
        Ok(match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    /// Whether the object has what the field is a part of. Applying would make a container that is not there.
    pub(super) fn exists(&self, object: &Value) -> Result<(), String> {
        let (Field::Resource { container, .. } | Field::Variable { container, .. }) = self else {
            return Ok(());
        };
        if of_container(object, container).is_null() {
            let names: Vec<&str> = containers(object).iter().filter_map(|c| c["name"].as_str()).collect();
            return Err(format!("the deployment has no container {container}; it has {}", names.join(", ")));
        }
        if let Field::Variable { container, name } = self
            && !variable(of_container(object, container), name)["valueFrom"].is_null()
        {
            return Err(format!(
                "variable {name} comes from somewhere else (valueFrom), so it is not set here"
            ));
        }
        Ok(())
    }

    /// Writes it into a patch.
    pub(super) fn put(&self, patch: &mut Value, text: &str) {
        match self {
            Field::Replicas => {
                patch["spec"]["replicas"] = text.parse::<i64>().map_or_else(|_| json!(text), |n| json!(n));
            }
            Field::Resource { container, side, resource } => {
                container_of(patch, container)["resources"][side][resource] = json!(text);
            }
            Field::Variable { container, name } => {
                let variables = &mut container_of(patch, container)["env"];
                if !variables.is_array() {
                    *variables = json!([]);
                }
                if let Some(variables) = variables.as_array_mut() {
                    variables.push(json!({"name": name, "value": text}));
                }
            }
        }
    }

    /// As conflicts name it.
    pub(super) fn shown(&self) -> String {
        let of = |container: &str| format!(".spec.template.spec.containers[name=\"{container}\"]");
        match self {
            Field::Replicas => ".spec.replicas".to_owned(),
            Field::Resource { container, side, resource } => {
                format!("{}.resources.{side}.{resource}", of(container))
            }
            Field::Variable { container, name } => format!("{}.env[name=\"{name}\"].value", of(container)),
        }
    }

    /// Whether `manager` has applied it.
    pub(super) fn is_owned(&self, object: &Value, manager: &str) -> bool {
        let entries = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ours = |entry: &&Value| entry["manager"] == manager && entry["operation"] == "Apply";
        entries.iter().filter(ours).any(|entry| {
            let mut place = Some(&entry["fieldsV1"]);
            for step in self.steps() {
                place = place.and_then(|place| place.get(&step));
            }
            place.is_some()
        })
    }

    /// The way to it in `fieldsV1`.
    fn steps(&self) -> Vec<String> {
        let key = |name: &str| format!("k:{}", json!({ "name": name }));
        let of = |container: &str| {
            let way = ["f:spec", "f:template", "f:spec", "f:containers"].map(str::to_owned);
            way.into_iter().chain([key(container)]).collect::<Vec<_>>()
        };
        match self {
            Field::Replicas => vec!["f:spec".to_owned(), "f:replicas".to_owned()],
            Field::Resource { container, side, resource } => {
                [of(container), vec!["f:resources".to_owned(), format!("f:{side}"), format!("f:{resource}")]]
                    .concat()
            }
            Field::Variable { container, name } => {
                [of(container), vec!["f:env".to_owned(), key(name), "f:value".to_owned()]].concat()
            }
        }
    }
}

fn containers(object: &Value) -> &[Value] {
    object["spec"]["template"]["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn of_container<'a>(object: &'a Value, name: &str) -> &'a Value {
    containers(object).iter().find(|container| container["name"] == name).unwrap_or(&Value::Null)
}

fn variable<'a>(container: &'a Value, name: &str) -> &'a Value {
    let variables = container["env"].as_array().map(Vec::as_slice).unwrap_or_default();
    variables.iter().find(|variable| variable["name"] == name).unwrap_or(&Value::Null)
}

/// The container of a patch, made where it is not there yet.
fn container_of<'a>(patch: &'a mut Value, name: &str) -> &'a mut Value {
    let containers = &mut patch["spec"]["template"]["spec"]["containers"];
    let mut list = containers.as_array().cloned().unwrap_or_default();
    let known = list.iter().position(|container| container["name"] == name);
    let place = known.unwrap_or(list.len());
    if known.is_none() {
        list.push(json!({ "name": name }));
        *containers = Value::Array(list);
    }
    &mut patch["spec"]["template"]["spec"]["containers"][place]
}

/// A quantity in thousandths of a core, or in bytes.
pub(super) fn amount(resource: &str, text: &str) -> Result<i64, String> {
    const SUFFIXES: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("m", 1e-3),
        ("u", 1e-6),
        ("n", 1e-9),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    let suffix = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (digits, factor) = suffix.unwrap_or((text, 1.0));
    let number: f64 = digits.trim().parse().map_err(|_| format!("{text:?} is no quantity"))?;
    let amount = (number * factor * if resource == "cpu" { 1000.0 } else { 1.0 }).round();
    if (0.0..9e18).contains(&amount) {
        Ok(amount as i64)
    } else {
        Err(format!("{text:?} is no amount of {resource}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_thousandths_of_a_core_and_bytes() {
        for (resource, text, expected) in [
            ("cpu", "250m", 250),
            ("cpu", "2", 2000),
            ("cpu", "0.1", 100),
            ("memory", "1Gi", 1 << 30),
            ("memory", "64M", 64_000_000),
            ("memory", "1e3", 1000),
        ] {
            assert_eq!(amount(resource, text), Ok(expected), "{text}");
        }
        assert!(amount("cpu", "-1").is_err() && amount("memory", "much").is_err());
    }

    #[test]
    fn fields_of_one_container_go_into_one_patch() {
        let mut patch = json!({});
        Field::read("container/app/limits/cpu").expect("a field").put(&mut patch, "250m");
        Field::read("container/app/env/POOL").expect("a field").put(&mut patch, "5");
        let container = json!({"name": "app", "resources": {"limits": {"cpu": "250m"}}, "env": [{"name": "POOL", "value": "5"}]});
        assert_eq!(patch["spec"]["template"]["spec"]["containers"], json!([container]));
    }
}
