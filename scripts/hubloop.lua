-- The settings of this project. `secret "NAME"` is read from the environment; nothing secret stands in this file.
return {
  accounts = {
    main = {
      token = secret "HUBSPOT_TOKEN",
      client_secret = secret "HUBSPOT_CLIENT_SECRET",   -- signs the webhooks that HubSpot sends
      tier = "professional",                            -- free, starter, professional or enterprise: sets the limits
    },
  },
  store = "data/hubloop.db",
  scripts = { "*.lua" },
  permissions = {
    ["pipeline_report.lua"] = { fs = { "reports" } },
    ["api_usage_report.lua"] = { fs = { "reports" } },
    ["company_enrichment.lua"] = { hosts = { "api.enrich.example" } },
    ["nightly_backup.lua"] = { fs = { "backups" } },
    ["property_audit.lua"] = { fs = { "reports" } },
    ["contact_import.lua"] = { fs = { "imports" }, env = { "DRY_RUN" } },
    ["duplicates.lua"] = { fs = { "duplicates" } },
    ["ecommerce_orders.lua"] = { hosts = { "shop.example" } },
    ["contacts_sql.lua"] = { sql = { "contacts.db" } },
  },
  http = { listen = "127.0.0.1:8480" },                 -- webhooks
  admin = { listen = "127.0.0.1:8481" },                -- status
}
