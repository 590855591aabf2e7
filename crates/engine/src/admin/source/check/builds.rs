//! What builds cannot run of what documents make.

use backends::documents::Place;
use desired::{Combined, Finding};

use super::CheckedBuild;
use super::code::BUILD_IN_PART;
use super::report::Report;

/// A finding, and the build that it is about, by its place; none: any Collector.
pub(super) type Found = (Finding, Option<usize>);

/// What is to be said about what layers make: for any Collector, and for these builds.
pub(super) fn findings(combined: &Combined, builds: &[CheckedBuild]) -> Vec<Found> {
    let any = combined.findings().into_iter().map(|found| (found, None));
    let of_builds = builds.iter().enumerate().flat_map(|(place, checked)| {
        let unfit = combined.unfit_for(&checked.build).into_iter();
        unfit.map(move |found| (found, Some(place)))
    });
    any.chain(of_builds).collect()
}

/// Says of which builds not all is known: nothing is said to be missing that may be there.
pub(super) fn tell_parts(builds: &[CheckedBuild], report: &mut Report) {
    for checked in builds {
        let sections: Vec<_> = checked.build.sections_in_part().collect();
        if sections.is_empty() {
            continue;
        }
        let message = format!(
            "of {} not all {} are known: that one is missing there is not found",
            checked.name,
            sections.join(", ")
        );
        report.tell(BUILD_IN_PART, Place::file(""), message, None);
    }
}
