std = "lua54"
max_line_length = 140
exclude_files = { "**/node_modules/**", "build*/**" }
read_globals = {
  "on", "every", "cron", "serve", "emit", "after", "step", "wait", "secret",
  "task", "json", "log", "time", "crypto", "http", "kv", "text", "hubspot", "fs", "csv", "sql", "env",
}
files["**/*_test.lua"] = { read_globals = { "describe", "it", "before_each", "after_each", "expect", "sim" } }
files["**/hubloop.lua"] = { read_globals = { "secret" } }
