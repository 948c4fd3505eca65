//! The agent behind the conversation: OpenClaw gateway client and the built-in echo.
