-- Two-way contact sync with a SQL table: what changes in HubSpot changes in the table, and the other way round.
--
-- Every ten minutes it reads what has changed on either side since the time before, and writes the fields that differ.
-- Contacts and rows belong together by their e-mail; new ones are made on the other side. When both sides have changed a
-- field, the newer one counts; for the phone number the table always does. A contact that is deleted is marked in the row's
-- column `gone`, a row that is gone deletes its contact. A row that makes no contact (no e-mail, a value that HubSpot
-- refuses) is left alone and told in the log; it is tried again when it changes. A run that is cut off goes on where it was,
-- and makes nothing twice.
--
-- The table needs a column with a number or text of its own for each row, and one with the time of its last change, which
-- your system sets; without that one the whole table is read each time.
--
-- Scopes    crm.objects.contacts.read, crm.objects.contacts.write
-- Webhooks  none
-- Settings  permissions = { ["contacts_sql.lua"] = { sql = { "contacts.db" } } }
-- Try       hubloop run contacts_sql.lua --sim --contacts 200 --for 2d --allow-sql contacts.db
-- Change    the database: a file, or sql.open(secret "CRM_URL") where CRM_URL is postgres://user:password@host/database;
--           the table, its columns, and who counts when both sides have changed. Leave make_table out when yours is there.
local sync = require "sync"

local db = sql.open "contacts.db"

local function make_table()
  db:exec [[CREATE TABLE IF NOT EXISTS contact(
    id INTEGER PRIMARY KEY, email TEXT UNIQUE, first_name TEXT, last_name TEXT, phone TEXT, company TEXT,
    changed TEXT, gone TEXT)]]
end

local contacts = sync.mapping("contacts and table", {
  left = sync.hubspot "contacts",
  right = sync.sql(db, "contact", { id = "id", modified = "changed", deleted = "gone", ignore_case = true }),
  fields = {
    { left = "email", right = "email", type = "email", key = true },
    { left = "firstname", right = "first_name" },
    { left = "lastname", right = "last_name" },
    { left = "phone", right = "phone", conflict = "right" },
    { left = "company", right = "company" },
  },
  conflict = "newest",
  deletes = "follow",        -- "ignore": what is deleted on one side stays on the other
  max_deletes = 20,          -- a run that would delete more does not begin: somebody has emptied a side
  page = 100,                -- what a crash in the middle does again
})

local WROTE = { "created", "updated", "deleted" }

every("10m", { name = "contacts and table", retries = 10, timeout = "2h", priority = "bulk" }, function()
  make_table()
  local result = contacts:run { progress = false }
  local said = {}
  for _, what in ipairs(WROTE) do
    if result[what] > 0 then said[#said + 1] = ("%d %s"):format(result[what], what) end
  end
  if #said > 0 then log.info("contacts and table: " .. table.concat(said, ", ")) end
  for i, bad in ipairs(result.bad_rows) do
    if i > 20 then break end
    log.warn(("contacts and table: %s is left alone: %s"):format(bad.id, bad.reason))
  end
end)
