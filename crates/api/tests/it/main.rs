//! The admin plane over a real engine: every test runs on SQLite and on PostgreSQL, from one list.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use store::testing::TestDb;

mod access;
mod agents;
mod audit;
mod bad_input;
mod builds;
mod config_source;
mod configs;
mod dry_runs;
mod events;
mod fleet;
mod harness;
mod imports;
mod limits;
mod namespaces;
mod openapi;
mod plans;
mod refused_dry_runs;
mod rollouts;
mod secrets;
mod system;
mod templates;
mod tokens;
mod variables;

/// Makes a test of each function on each database. A function that is not listed is dead code, which lint refuses.
macro_rules! suite {
    ($($module:ident: [$($test:ident),* $(,)?],)*) => {
        mod sqlite {
            $(mod $module {
                $(#[tokio::test]
                async fn $test() {
                    let db = super::super::TestDb::sqlite().await;
                    super::super::$module::$test(&super::super::harness::World::start(&db).await).await;
                    db.close().await;
                })*
            })*
        }

        mod postgres {
            $(mod $module {
                $(#[tokio::test]
                async fn $test() {
                    let Some(db) = super::super::TestDb::postgres().await else { return };
                    super::super::$module::$test(&super::super::harness::World::start(&db).await).await;
                    db.close().await;
                })*
            })*
        }
    };
}

suite! {
    access: [
        every_route_takes_a_token,
        a_token_of_the_agent_plane_opens_nothing,
        a_revoked_or_expired_admin_token_opens_nothing,
        a_replaced_bootstrap_token_opens_nothing,
        a_bootstrap_token_is_adopted_once,
        paths_that_are_not_there_are_told_to_operators_only,
        strangers_are_noted_and_a_flood_of_them_is_bounded,
    ],
    agents: [
        the_list_pages_and_filters,
        an_agent_is_shown_whole_under_both_of_its_ids,
        secrets_are_shown_on_demand_and_noted,
        labels_are_patched_and_move_the_agent,
        a_patch_with_an_old_version_is_refused,
        impossible_labels_are_refused_by_name,
        more_label_edits_than_allowed_are_refused,
        a_restart_reaches_a_connected_agent,
        a_restart_without_the_capability_or_connection_is_refused,
        a_failed_config_is_retried_on_demand,
        a_pending_agent_is_approved,
        a_deleted_agent_is_gone_and_its_events_stay,
        an_agent_that_changed_since_is_not_deleted,
        what_keeps_an_agent_waiting_is_told,
        history_tells_who_changed_what,
    ],
    audit: [
        writes_and_refusals_are_in_the_log_without_secrets,
        the_chain_verifies_and_a_changed_entry_breaks_it,
        the_chain_is_not_for_one_namespace_s_tokens,
        the_log_pages_newest_first,
    ],
    bad_input: [
        bodies_that_cannot_be_read_are_refused,
        unknown_fields_are_named,
        unknown_query_parameters_are_named,
        bad_pages_are_refused,
        bad_paths_are_refused,
        bad_headers_are_refused,
        bad_selectors_are_refused_at_their_position,
        bad_config_bodies_are_refused_at_line_and_column,
        large_bodies_are_refused,
        a_second_document_is_refused_at_its_line,
        preconditions_that_nobody_checks_are_refused,
    ],
    builds: [
        a_plan_names_what_builds_lack_and_the_release_is_refused,
        what_a_released_build_lacks_is_told_and_refuses_nothing,
        agents_whose_build_lacks_something_are_left_as_they_are,
        a_forced_release_reaches_builds_that_lack_something,
        labels_that_would_give_an_agent_what_its_build_lacks_are_refused,
        a_build_that_loses_what_it_runs_keeps_it,
    ],
    configs: [
        a_put_makes_a_revision_and_changes_no_agent,
        the_same_content_again_is_the_standing_revision,
        versions_tell_a_new_aim_from_a_new_body,
        versions_are_given_or_raised_by_people,
        an_earlier_revision_comes_back_as_a_new_one,
        preconditions_guard_writes,
        a_release_of_what_somebody_changed_since_is_refused,
        other_kinds_and_long_messages_are_refused,
        a_body_copied_from_a_redacted_display_is_refused,
        secrets_in_revisions_are_redacted_unless_revealed,
        a_config_in_force_is_deleted_only_with_its_agents,
        a_deleted_config_comes_back_with_the_next_number,
        configs_and_revisions_page,
        writers_at_once_make_one_revision_each,
        a_revision_has_tags_that_people_move,
        the_history_of_a_config_is_append_only,
    ],
    config_source: [
        a_commit_becomes_revisions_with_its_author_and_message,
        a_set_of_variables_and_what_looks_at_it_come_in_one_commit,
        an_invalid_commit_is_refused_whole_with_its_places,
        a_source_without_documents_deletes_nothing,
        a_config_of_a_source_is_changed_nowhere_else,
        a_config_of_the_api_is_not_taken_over,
        what_the_source_has_no_more_is_deleted_or_waits,
        a_source_may_release_by_itself,
        a_refused_release_is_told_and_repaired_by_a_commit,
        a_restart_goes_on_from_what_was_taken,
        configs_of_a_source_that_is_gone_are_let_go,
        a_database_that_fails_leaves_a_commit_undone,
        a_webhook_is_let_in_by_its_secret_alone,
        a_look_is_asked_for_and_told,
    ],
    dry_runs: [
        a_collector_that_refuses_blocks_the_plan_and_nothing_is_applied,
        an_agent_is_asked_with_the_values_of_secrets_and_told_without,
        only_the_agent_that_was_asked_answers_and_in_few_words,
        nobody_is_waited_for_for_good_and_releases_go_on_meanwhile,
        who_cannot_be_asked_is_told_and_counted,
        an_agent_that_goes_away_is_not_waited_for,
        an_agent_is_asked_what_other_labels_would_give_it,
        a_release_is_refused_that_an_agent_refuses,
        a_release_goes_out_that_agents_accept_or_do_not_answer,
        agents_are_asked_again_where_something_else_came_between,
        what_is_too_large_is_not_sent,
        a_plan_asks_100_agents,
        impossible_dry_runs_are_refused,
    ],
    refused_dry_runs: [
        agents_whose_build_refuses_are_left_as_they_are,
        a_plan_counts_who_would_be_left_out,
        a_machine_that_refuses_is_left_out_alone,
        further_agents_of_a_build_are_asked_before_all_of_it_is_left_out,
        who_says_nothing_of_its_build_speaks_for_itself,
        who_accepts_later_is_given_it,
        a_forced_release_overrules_what_was_refused,
        what_was_refused_is_given_by_no_other_way,
        nothing_is_kept_of_a_release_that_was_refused,
        what_is_kept_has_no_secrets,
        each_content_is_refused_for_itself,
        no_more_than_2000_refusals_are_kept,
        a_refusal_is_forgotten_when_its_release_is_out_of_force,
        a_refusal_stays_while_another_revision_makes_the_same,
        a_newcomer_is_given_nothing_before_it_says_what_it_is_built_of,
        who_refuses_again_keeps_it_from_nobody_else,
        one_that_refuses_speaks_not_for_those_that_cannot_be_asked,
    ],
    events: [
        the_stream_resumes_after_an_id,
        a_stream_can_be_resumed_before_its_first_event,
        an_id_that_cannot_be_resumed_after_resets_the_stream,
        streams_beyond_the_limit_are_refused,
        the_stream_sends_what_happens,
        the_stream_ends_when_the_server_drains,
        the_stream_ends_when_its_token_is_revoked,
        a_busy_stream_ends_when_its_token_is_revoked,
    ],
    fleet: [
        the_summary_counts,
        a_release_is_in_the_counts_at_once,
        a_hold_keeps_offers_back_until_it_is_lifted,
        holds_have_scopes,
        impossible_holds_are_refused,
    ],
    imports: [
        a_fleet_that_runs_is_taken_over_without_a_change,
        what_cannot_be_taken_over_is_refused,
        an_agent_that_runs_something_else_has_drifted,
    ],
    limits: [
        a_plan_shows_100_groups_and_what_changes_in_25_of_them,
        a_plan_shows_20_findings_of_a_group,
        a_refused_release_tells_100_errors,
        an_explanation_has_1_000_values,
    ],
    namespaces: [
        one_namespace_does_not_see_another,
        a_token_of_a_namespace_acts_there_and_nowhere_else,
        a_hold_of_the_fleet_takes_a_credential_for_all,
    ],
    openapi: [
        the_document_lists_every_route,
        every_reference_resolves_and_operation_ids_are_unique,
        the_document_is_served,
    ],
    plans: [
        a_release_that_collectors_would_refuse_takes_force,
        an_agent_that_comes_later_is_not_given_what_its_collector_refuses,
        what_an_agent_was_refused_before_is_not_held_against_a_release,
        labels_that_would_break_an_agent_are_refused,
        a_deletion_that_would_break_agents_is_refused,
        a_plan_tells_what_each_agent_would_get,
        a_plan_of_a_deletion_names_those_who_lose_it,
        revisions_are_compared_as_text_and_in_the_collector_s_terms,
        a_value_is_explained_by_the_line_that_set_it,
        a_plan_without_agents_checks_the_revision_alone,
        impossible_plans_are_refused,
    ],
    rollouts: [
        a_release_reaches_matching_agents_and_counts_them,
        both_forms_of_the_request_are_taken,
        an_older_revision_can_be_released_again,
        what_cannot_be_released_is_refused,
        layers_merge_by_priority,
        an_idempotency_key_starts_one_rollout,
        a_release_survives_a_crash,
        a_release_whose_client_hangs_up_is_finished,
        rollouts_are_listed_newest_first,
    ],
    system: [
        health_ready_and_metrics_take_no_token,
        readiness_follows_the_server,
        the_landing_page_lists_the_api,
        a_new_agent_gets_its_file,
        a_lost_database_is_told_and_the_server_stays_up,
    ],
    templates: [
        each_agent_gets_the_text_that_its_labels_make,
        a_template_is_shown_with_what_makes_it_one,
        a_plan_groups_agents_by_what_a_template_makes_of_them,
        a_release_may_leave_out_agents_for_which_it_is_wrong,
        an_agent_for_which_a_template_fails_keeps_what_it_has,
        a_template_is_rendered_for_an_agent_or_made_up_labels,
        what_cannot_be_rendered_is_refused_at_its_place,
        templates_that_cannot_be_are_refused_at_their_place,
        a_template_merges_with_other_layers,
        what_an_agent_was_refused_is_not_held_against_other_changes,
        a_broken_combination_is_not_given_by_a_release_of_something_else,
        an_agent_that_keeps_changing_gets_its_content_a_minute_later,
    ],
    secrets: [
        agents_get_the_value_and_nobody_else_sees_it,
        another_value_reaches_just_those_who_refer_to_it,
        a_secret_in_variables_and_templates_is_found,
        a_reference_without_a_value_blocks_the_release,
        a_secret_in_use_is_not_deleted,
        secrets_are_listed_by_name_in_pages,
        values_that_cannot_be_are_refused,
        a_namespace_has_so_many_secrets,
        without_their_key_secrets_stay_closed,
    ],
    tokens: [
        an_agent_token_lets_agents_in_until_it_is_revoked,
        a_secret_is_shown_once,
        an_idempotency_key_makes_one_token,
        requests_at_once_with_one_key_make_one_token,
        impossible_tokens_are_refused,
        tokens_are_listed_by_kind,
    ],
    variables: [
        a_set_reaches_the_agents_whose_templates_look_at_it,
        a_set_alone_is_nothing_to_an_agent,
        an_agent_that_no_set_gives_a_value_is_told_with_the_sets_that_match,
        equal_values_are_one_content_whatever_sets_give_them,
        a_set_that_templates_need_is_not_taken_away,
        values_that_cost_a_template_too_much_block_the_release_of_their_set,
        what_a_forced_set_makes_is_not_checked_again,
        a_set_is_versioned_and_rolled_back_as_a_config,
        secrets_of_a_set_are_not_shown,
        bodies_that_are_no_set_are_refused_at_their_place,
        a_config_keeps_its_kind,
    ],
}
