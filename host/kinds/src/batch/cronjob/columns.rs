//! `kubectl get cronjobs`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Schedule", "The schedule in Cron format, see https://en.wikipedia.org/wiki/Cron."),
    Column::text("Timezone", "The time zone name for the given schedule, see https://en.wikipedia.org/wiki/List_of_tz_database_time_zones. If not specified, this will default to the time zone of the kube-controller-manager process."),
    Column::boolean("Suspend", "This flag tells the controller to suspend subsequent executions, it does not apply to already started executions. Defaults to false."),
    Column::integer("Active", "A list of pointers to currently running jobs."),
    Column::text("Last Schedule", "Information when was the last time the job was successfully scheduled."),
    Column::AGE,
    Column::CONTAINERS,
    Column::IMAGES,
    Column::text("Selector", "A label query over pods that should match the pod count. Normally, the system sets this field for you. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors").wide(),
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let suspend = match tree::get(object, "spec.suspend").and_then(Value::as_bool) {
        Some(true) => "True",
        Some(false) => "False",
        None => print::UNSET,
    };
    let last = match tree::text(object, "status.lastScheduleTime") {
        "" => print::NONE.to_owned(),
        time => print::since(time, now),
    };
    let (containers, images) =
        print::containers(tree::get(object, "spec.jobTemplate.spec.template.spec"));
    vec![
        print::name(object),
        tree::text(object, "spec.schedule").into(),
        print::or_none(tree::text(object, "spec.timeZone")),
        suspend.into(),
        tree::list(object, "status.active").len().into(),
        last.into(),
        print::age(object, now),
        containers,
        images,
        print::selector(tree::get(object, "spec.jobTemplate.spec.selector")).into(),
    ]
}
