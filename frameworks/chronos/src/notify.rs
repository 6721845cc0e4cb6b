//! Telling people and programs what became of jobs: mail, Slack, Mattermost and
//! HTTP callbacks. What is worth telling is the engine's affair.
