//! `kubectl api-resources`.

use crate::cli::ApiResources;
use crate::discovery::Served;
use crate::error::Failure;
use crate::print::Columns;
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &ApiResources) -> Result<(), Failure> {
    let wide = match args.output.as_deref() {
        None => false,
        Some("wide") => true,
        Some("name") => {
            for served in wanted(&session.discovery().await?.all, args) {
                println!("{}", full_name(served));
            }
            return Ok(());
        }
        Some(other) => return Err(Failure::local(format!("--output {other} is not available"))),
    };
    let discovery = session.discovery().await?;
    let mut rows: Vec<Vec<String>> = wanted(&discovery.all, args)
        .into_iter()
        .map(|s| row(s, wide))
        .collect();
    if !args.no_headers {
        let mut header = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
            .map(str::to_owned)
            .to_vec();
        if wide {
            header.extend(["VERBS", "CATEGORIES"].map(str::to_owned))
        }
        rows.insert(0, header);
    }
    print!("{}", Columns::default().layout(&rows));
    Ok(())
}

fn wanted<'a>(all: &'a [Served], args: &ApiResources) -> Vec<&'a Served> {
    let fits = |s: &&Served| {
        args.api_group
            .as_ref()
            .is_none_or(|g| s.resource.group == *g)
            && args.namespaced.is_none_or(|n| s.resource.namespaced == n)
            && args.verbs.iter().all(|v| s.verbs.contains(v))
            && !s.secondary
            && !s.verbs.is_empty()
    };
    let mut found: Vec<_> = all.iter().filter(fits).collect();
    found.sort_by(|a, b| {
        (&a.resource.group, &a.resource.plural).cmp(&(&b.resource.group, &b.resource.plural))
    });
    found
}

fn full_name(served: &Served) -> String {
    let resource = &served.resource;
    if resource.group.is_empty() {
        resource.plural.to_string()
    } else {
        format!("{}.{}", resource.plural, resource.group)
    }
}

fn row(served: &Served, wide: bool) -> Vec<String> {
    let resource = &served.resource;
    let mut row = vec![
        resource.plural.to_string(),
        served.short_names.join(","),
        resource.api_version(),
        resource.namespaced.to_string(),
        resource.kind.to_string(),
    ];
    if wide {
        row.push(served.verbs.join(","));
        row.push(served.categories.join(","));
    }
    row
}
