//! The store's contract: every test runs on SQLite and on PostgreSQL, from one list.

#![expect(
    clippy::unwrap_used,
    reason = "tests; the functions the macro calls are not marked as such"
)]

use std::io::Write;

use store::testing::TestDb;

mod agents;
mod audit;
mod backup;
mod broken;
mod changes;
mod configs;
mod contents;
mod desired;
mod events;
mod fixture;
mod holds;
mod idempotency;
mod inventory;
mod liveness;
mod meta;
mod opening;
mod refusals;
mod released;
mod retention;
mod rollouts;
mod secrets;
mod sources;
mod tokens;
mod transactions;

/// Makes a test of each function on each engine. A function that is not listed is dead code, which lint refuses.
macro_rules! contract {
    ($($module:ident: [$($test:ident),* $(,)?],)*) => {
        mod sqlite {
            $(mod $module {
                $(#[tokio::test]
                async fn $test() {
                    let t = super::super::TestDb::sqlite().await;
                    super::super::$module::$test(&t).await;
                    t.close().await;
                })*
            })*
        }

        mod postgres {
            $(mod $module {
                $(#[tokio::test]
                async fn $test() {
                    let Some(t) = super::super::TestDb::postgres().await else { return };
                    super::super::$module::$test(&t).await;
                    t.close().await;
                })*
            })*
        }

        const TESTS: &[&str] = &[$($(concat!(stringify!($module), "::", stringify!($test)),)*)*];
    };
}

contract! {
    agents: [
        a_new_agent_is_found_with_all_it_reported,
        an_older_attachment_never_overwrites_a_newer_one,
        a_report_of_an_agent_that_is_gone_is_stale,
        several_reports_of_one_agent_count_in_their_order,
        what_a_report_leaves_out_stays_as_it_was,
        a_thousand_agents_are_one_batch,
        the_same_batch_again_changes_nothing,
        a_uid_that_another_agent_has_is_left_alone,
        a_new_uid_is_found,
        components_stay_while_their_hash_stays,
        text_with_nul_is_stored,
        preload_gives_every_agent_once,
        preload_gives_what_a_restart_needs,
        an_agent_that_comes_and_goes_is_shown_so,
        a_node_that_ends_detaches_its_agents,
        a_restored_database_has_nobody_attached_and_no_session,
        two_namespaces_share_a_uid,
    ],
    changes: [
        operators_labels_win_over_the_agents_own,
        labels_are_written_under_their_version_only,
        a_label_change_of_the_agent_is_kept_in_its_history,
        a_description_that_changes_no_label_is_noted,
        approval_is_changed_once,
        a_deleted_agent_leaves_nothing_behind,
        history_is_paged_from_the_newest,
    ],
    inventory: [
        a_list_is_paged_without_gaps_or_doubles,
        selectors_match_in_sql_as_in_memory,
        status_filters_match_in_sql_as_in_memory,
        text_is_found_in_ids_and_labels_whatever_its_case,
        filters_and_cursor_go_together,
        counts_add_up,
        an_empty_namespace_counts_zero,
    ],
    liveness: [
        a_flush_moves_the_last_seen_time_and_the_session,
        the_session_is_that_of_the_newest_report_or_of_a_flush_after_it,
        flushed_times_join_the_tree_they_belong_to,
        times_of_an_older_tree_are_not_shown,
        fifteen_thousand_agents_flush_and_preload,
    ],
    contents: [
        equal_contents_are_stored_once,
        contents_of_namespaces_and_kinds_stand_apart,
        a_content_reads_back_byte_for_byte,
    ],
    configs: [
        revisions_are_numbered_without_gaps,
        a_number_that_is_taken_is_refused,
        a_deleted_config_revives_with_its_next_revision,
        configs_are_listed_by_name_with_their_baseline,
        revisions_are_paged_from_the_newest,
        baselines_are_set_moved_and_cleared,
        exceptions_are_set_replaced_and_cleared,
    ],
    refusals: [
        refusals_of_a_content_are_replaced_together,
        refusals_stay_while_they_are_of_use_and_so_do_their_contents,
    ],
    sources: [
        a_source_keeps_what_was_taken_of_it,
        a_config_belongs_to_its_source_until_it_is_deleted,
    ],
    rollouts: [
        one_rollout_of_a_config_runs_at_a_time,
        a_rollout_advances_once,
        rollouts_are_paged_from_the_newest,
    ],
    released: [
        the_released_set_is_what_was_committed,
        namespaces_with_nothing_released_are_left_out,
    ],
    desired: [
        equal_inputs_keep_what_stands,
        a_desired_content_is_found_by_its_hash,
    ],
    secrets: [
        the_newest_version_is_the_current_one,
        a_retired_secret_has_no_current_version,
        values_go_that_nothing_needs_and_numbers_stay,
    ],
    holds: [
        every_scope_is_held_and_lifted,
        the_longest_selector_is_held_and_lifted,
    ],
    tokens: [
        a_token_is_found_by_its_hash_until_it_is_revoked,
        tokens_that_ended_are_not_loaded,
        tokens_are_paged_by_kind,
    ],
    events: [
        events_are_read_in_order_after_one,
        no_reader_misses_an_event_that_commits_late,
        events_of_an_agent_are_paged_from_the_newest,
    ],
    audit: [
        the_chain_holds_together,
        a_rolled_back_write_leaves_no_entry,
        entries_are_listed_by_namespace,
        concurrent_writes_make_one_chain,
    ],
    backup: [
        a_copy_has_what_was_committed_and_no_more,
        a_copy_made_during_writes_is_of_one_moment,
        a_copy_opens_as_a_database_and_goes_on,
        a_copy_loads_into_an_empty_server_and_goes_on,
    ],
    idempotency: [
        the_first_answer_is_kept,
    ],
    meta: [
        a_fact_is_set_once_where_nodes_must_agree,
    ],
    retention: [
        agents_offline_too_long_are_forgotten,
        after_a_long_outage_no_agent_is_forgotten_before_it_could_come_back,
        old_events_are_dropped,
        an_agent_keeps_its_newest_events,
        unreferenced_contents_are_swept_after_the_grace_time,
        desired_contents_in_use_stay,
        a_desired_content_that_is_wanted_again_is_not_swept,
        saved_answers_are_dropped,
        old_revisions_are_dropped_unless_they_are_needed,
    ],
    opening: [
        what_was_committed_is_there_after_a_restart,
        a_newer_database_is_refused,
        another_builds_migration_is_refused,
        opening_again_changes_nothing,
        two_nodes_may_open_at_once,
    ],
    transactions: [
        a_dropped_transaction_leaves_nothing,
        readers_never_see_what_is_not_committed,
        api_writes_and_reports_go_on_together,
        a_closed_database_is_lost,
        a_broken_rule_is_told_apart,
        connections_in_use_are_counted,
        a_commit_of_unknown_outcome_is_counted,
        a_commit_whose_caller_goes_away_is_counted,
    ],
}

#[test]
fn both_engines_run_the_same_tests() {
    let there = std::env::var_os("TEST_POSTGRES_URL").is_some()
        || std::path::Path::new("/usr/lib/postgresql").exists();
    let postgres = if there { TESTS.len() } else { 0 };
    // Past the harness, which hides what a passing test prints.
    writeln!(
        std::io::stderr(),
        "store contract: {} tests on SQLite, {postgres} on PostgreSQL",
        TESTS.len()
    )
    .unwrap();
    let mut names = TESTS.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TESTS.len());
}
