-- Made by `make tables` (tests/generate/apis.mjs) out of hubspot/endpoints.tsv and hubspot/openapi/*.json,
-- HubSpot's published operations; do not edit. 37 names of object types.
-- A line: name, type in the path, what it can ("*": list create get update upsert archive search and batches).
return [[
appointments 0-421 * merge gdpr_delete
calls calls *
carts carts *
commerce_payments commerce_payments *
commerce_subscriptions subscriptions *
communications communications *
companies companies * merge
contacts contacts * merge gdpr_delete
contracts contracts *
courses courses * merge
deals deals * merge
discounts discounts *
emails emails *
feedback_submissions feedback_submissions list get search batch_read
fees fees *
forecasts forecasts list get
goal_targets goal_targets *
goals goal_targets *
invoices invoices *
leads leads *
line_items line_items *
listings 0-420 *
meetings meetings *
notes notes *
orders orders * merge
partner_clients partner_clients list get update search batch_read batch_update
partner_services partner_services list get update search batch_read batch_update
payments commerce_payments *
postal_mail postal_mail *
products products *
projects projects * merge
quotes quotes *
services services * merge
tasks tasks *
taxes taxes *
tickets tickets * merge
users users *
]]
