--- Databases: SQLite files and PostgreSQL servers, for the scripts that are permitted to use them.
---
---     local db = sql.open("shop.db")
---     for row in db:rows("SELECT id, email FROM customer WHERE changed > ?", since) do print(row.email) end
---
--- Statements run beside the loop: the task waits, nothing else does. Values are always bound, never put into the text.
--- What fails raises `{kind = "sql", message =, category =, code =, retryable =}`. `hubloop help sql` has the whole picture.
local _, host = ...
local native = host.sql
---@class sql
local sql = {}

local SECOND = 1000
local OPTIONS = { timeout = true, read_only = true }

---@class sql.db
local Db = {}
Db.__index = Db
Db.__metatable = false

---A database that the project permits (`permissions = { ["x.lua"] = { sql = { "shop.db" } } }`, or `--allow-sql`). Nothing
---connects before the first statement. Its place is a file's path, `"postgres://user@host/database"`, or a secret that holds
---such a URL. Options: `timeout`, a duration for each statement ("30s"); `read_only = true`.
---@param place string|userdata # or secret "NAME"
---@param options table|nil
---@return sql.db
function sql.open(place, options)
  if options ~= nil and type(options) ~= "table" then error("sql.open: options are a table", 2) end
  for key in pairs(options or {}) do
    if not OPTIONS[key] then error(("sql.open: unknown option \"%s\"; there are timeout and read_only"):format(tostring(key)), 2) end
  end
  local o = options or {}
  local timeout = o.timeout == nil and 30 * SECOND or time.duration(o.timeout)
  if timeout < 1 then error("sql.open: timeout is a duration above 0, such as \"30s\"", 2) end
  return setmetatable({ handle = native.open(place, o.read_only == true), timeout = timeout }, Db)
end

---A value that is bytes (BLOB, bytea) and not text. Strings that are no UTF-8, or hold a NUL, are taken for bytes anyway.
---@param bytes string
---@return userdata
function sql.blob(bytes)
  if type(bytes) ~= "string" then error("sql.blob: expects a string", 2) end
  return native.blob(bytes)
end

---The rows that a statement gives, each a table by the names of its columns; NULL is absent. At most 50,000 rows and 32 MiB.
---@param statement string # one statement; `?` where a value goes
---@param ... string|number|boolean|nil|userdata # the values, in order; nil and json.null are NULL
---@return table<string, any>[]
function Db:query(statement, ...)
  return native.call(self.handle, self.timeout, "query", statement, ...)
end

---Runs a statement; its rows, if it gives any, are dropped.
---@param statement string
---@param ... string|number|boolean|nil|userdata
---@return integer # rows that it inserted, changed or deleted
function Db:exec(statement, ...)
  return native.call(self.handle, self.timeout, "exec", statement, ...)
end

---Iterates over the rows of a SELECT of any size, of which some hundred are in memory. They are those of the moment when
---it began; the database may be written meanwhile.
---@param statement string
---@param ... string|number|boolean|nil|userdata
---@return fun(): table<string, any>|nil
function Db:rows(statement, ...)
  local page, more = native.call(self.handle, self.timeout, "rows", statement, ...)
  local at = 0
  local function next_row()
    at = at + 1
    while page and at > #page do
      if not more then
        page = nil
        return nil
      end
      page, more = native.page(more, self.timeout)
      at = 1
    end
    return page and page[at]
  end
  return next_row, nil, nil, more
end

---Runs fn(db) in a transaction, and gives what it returns. All of its statements count, or, if it raises or its task ends in
---it, none. This task's calls of `db` are in the transaction until then, and those of tasks that it has spawned. Inside of
---another transaction it is a part of that, which may fail alone.
---@param fn fun(db: sql.db): ...
---@return any ...
function Db:transaction(fn)
  if type(fn) ~= "function" then error("db:transaction: expects a function", 2) end
  local open <close> = native.begin(self.handle, self.timeout)
  local results = table.pack(fn(self))
  native.commit(open, self.timeout)
  return table.unpack(results, 1, results.n)
end

---No more statements through this. Connections close when nothing uses them; forgetting `db` does the same, later.
function Db:close() native.close(self.handle) end

return sql
