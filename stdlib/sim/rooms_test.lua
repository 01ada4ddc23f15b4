-- The rooms beside the CRM: who wants e-mails, e-mails and single sends, workflows, users.
local server = require "sim.server"

local TOKEN = "token-" .. "of-the-test"
local CONTACTS = "/crm/objects/2026-09/contacts"

-- Tasks of the simulator outlive those that start them, so the test's own run them.
local function account(options)
  local tasks = {}
  options = options or {}
  if not options.tokens then options.token = TOKEN end
  local S = server.new(options, { now = function() return time.now() end, random = function() return 0.5 end,
    spawn = function(fn) tasks[#tasks + 1] = fn end })
  local function call(method, target, body, token)
    local path, query = target:match("^([^?]*)%??(.*)$")
    local answer = S:handle { method = method, path = path, query = query, body = body and json.encode(body) or "",
      headers = { authorization = "Bearer " .. (token or TOKEN) } }
    while #tasks > 0 do task.spawn(table.remove(tasks, 1)) end
    return answer.status, answer.body ~= "" and json.decode(answer.body) or nil
  end
  local function control(name, args)
    local result = S:control(name, args or {})
    while #tasks > 0 do task.spawn(table.remove(tasks, 1)) end
    return result
  end
  -- Lets time pass, minute by minute, so that tasks started meanwhile run, too.
  local function pass(minutes)
    for _ = 1, minutes do
      task.sleep(60)
      while #tasks > 0 do task.spawn(table.remove(tasks, 1)) end
    end
  end
  return call, control, S, pass
end

local function statuses(results)
  local out = {}
  for _, s in ipairs(results) do out[s.subscriptionName] = s.status end
  return out
end

describe("communication preferences", function()
  local P = "/communication-preferences/2026-09"
  local ADA = P .. "/statuses/Ada%40example.com"

  it("are said to one type, or to all, and can be taken back", function()
    local call, control = account()
    local _, types = call("GET", P .. "/definitions")
    expect(types.results[1].name).to.equal("Marketing Information")
    local id = math.tointeger(tonumber(types.results[1].id))
    local _, said = call("GET", ADA .. "?channel=EMAIL")
    expect(statuses(said.results)).to.equal { ["Marketing Information"] = "NOT_SPECIFIED",
      ["Customer Service Communication"] = "NOT_SPECIFIED", ["One to One"] = "NOT_SPECIFIED" }
    local status, done = call("POST", ADA, { channel = "EMAIL", statusState = "SUBSCRIBED", subscriptionId = id,
      legalBasis = "CONSENT_WITH_NOTICE", legalBasisExplanation = "asked" })
    expect(status).to.equal(200)
    local r = done.results[1]
    expect({ r.subscriberIdString, r.status, r.setStatusSuccessReason, r.legalBasis, r.source }).to.equal { "ada@example.com", "SUBSCRIBED",
      "REQUESTED_CHANGE_OCCURRED", "CONSENT_WITH_NOTICE", "API" }
    _, done = call("POST", ADA, { channel = "EMAIL", statusState = "SUBSCRIBED", subscriptionId = id })
    expect(done.results[1].setStatusSuccessReason).to.equal("NO_STATUS_CHANGE")

    _, done = call("POST", ADA .. "/unsubscribe-all?channel=EMAIL&verbose=true")
    expect(#done.results).to.equal(3)
    expect(done.results[1].setStatusSuccessReason).to.equal("UNSUBSCRIBE_FROM_ALL_OCCURRED")
    local _, all = call("GET", ADA .. "/unsubscribe-all?channel=EMAIL")
    expect(all.results[1].status).to.equal("UNSUBSCRIBED")
    _, done = call("POST", ADA, { channel = "EMAIL", statusState = "SUBSCRIBED", subscriptionId = id })
    expect(done.results[1].setStatusSuccessReason).to.equal("RESUBSCRIBE_OCCURRED")
    _, all = call("GET", ADA .. "/unsubscribe-all?channel=EMAIL")
    expect(all.results[1].status).to.equal("NOT_SPECIFIED")
    _, said = call("GET", ADA .. "?channel=EMAIL")
    expect(statuses(said.results)["One to One"]).to.equal("UNSUBSCRIBED")
    control("opt_out", { email = "ada@example.com", subscription = "Marketing Information" })
    _, said = call("GET", ADA .. "?channel=EMAIL")
    expect(said.results[1].source).to.equal("Preferences page")
  end)

  it("have an older form, in which who left is not subscribed again", function()
    local call = account()
    local body = { emailAddress = "bo@example.com", subscriptionId = "7100001" }
    for _, version in ipairs { "v3", "2026-09" } do
      local V = "/communication-preferences/" .. version
      local status, s = call("POST", V .. "/subscribe", body)
      expect({ status, s.status, s.sourceOfStatus }).to.equal { 200, "SUBSCRIBED", "SUBSCRIPTION_STATUS" }
      _, s = call("POST", V .. "/unsubscribe", body)
      expect(s.status).to.equal("NOT_SUBSCRIBED")
      local e
      status, e = call("POST", V .. "/subscribe", body)
      expect(status).to.equal(400)
      expect(e.message).to.contain("have unsubscribed")
      status, s = call("POST", "/communication-preferences/2026-09/resubscribe", body)
      expect({ status, s.status }).to.equal { 200, "SUBSCRIBED" }
      local _, list = call("GET", V .. "/status/email/bo%40example.com")
      expect({ list.recipient, list.subscriptionStatuses[1].status, #list.subscriptionStatuses }).to.equal { "bo@example.com",
        "SUBSCRIBED", 3 }
    end
    local _, types = call("GET", "/communication-preferences/v3/definitions")
    expect(#types.subscriptionDefinitions).to.equal(3)
  end)

  it("are read and written in batches, refused in HubSpot's words, and kept on the contact", function()
    local call, control = account()
    local made = control("create", { type = "contacts", properties = { email = "cy@example.com" } })
    local B = P .. "/statuses/batch"
    local _, done = call("POST", B .. "/write", { inputs = { { channel = "EMAIL", statusState = "UNSUBSCRIBED", subscriptionId = 7100001,
      subscriberIdString = "di@example.com" } } })
    expect(done.results[1].status).to.equal("UNSUBSCRIBED")
    _, done = call("POST", B .. "/read?channel=EMAIL", { inputs = { "di@example.com", "cy@example.com" } })
    expect(done.results[1].statuses[1].status).to.equal("UNSUBSCRIBED")
    expect(done.results[2].statuses[1].status).to.equal("NOT_SPECIFIED")
    _, done = call("POST", B .. "/unsubscribe-all?channel=EMAIL", { inputs = { "cy@example.com" } })
    expect(done.results[1]).to.equal { subscriberIdString = "cy@example.com" }
    _, done = call("POST", B .. "/unsubscribe-all/read?channel=EMAIL", { inputs = { "cy@example.com" } })
    expect(done.results[1].wideStatuses[1].status).to.equal("UNSUBSCRIBED")
    local _, contact = call("GET", CONTACTS .. "/" .. made.id .. "?properties=hs_email_optout")
    expect(contact.properties.hs_email_optout).to.equal("true")
    control("opt_in", { email = "cy@example.com", subscription = "One to One" })
    _, contact = call("GET", CONTACTS .. "/" .. made.id .. "?properties=hs_email_optout")
    expect(contact.properties.hs_email_optout).to.equal(json.null)
    local _, links = call("POST", P .. "/links/generate?channel=EMAIL", { subscriberIdString = "cy@example.com", subscriptionId = 7100001 })
    expect(links.unsubscribeSingleUrl).to.match("^https://")
    for _, case in ipairs {
      { "GET", ADA, nil, "Required query parameter 'channel'" }, { "GET", ADA .. "?channel=SMS", nil, "Invalid channel: SMS" },
      { "GET", P .. "/statuses/nobody?channel=EMAIL", nil, "Email address nobody is invalid" },
      { "POST", ADA, { channel = "EMAIL" }, "[statusState, subscriptionId]" },
      { "POST", ADA, { channel = "EMAIL", statusState = "MAYBE", subscriptionId = 7100001 }, "Invalid statusState: MAYBE" },
      { "POST", ADA, { channel = "EMAIL", statusState = "SUBSCRIBED", subscriptionId = 1 }, "1 does not exist" },
      { "POST", ADA, { channel = "EMAIL", statusState = "SUBSCRIBED", subscriptionId = 7100001, legalBasis = "HOPE" },
        "Invalid legalBasis" },
      { "POST", B .. "/read?channel=EMAIL", { inputs = {} }, "[inputs]" },
      { "POST", P .. "/subscribe", { emailAddress = "x@example.com" }, "[emailAddress, subscriptionId]" },
    } do
      local status, e = call(case[1], case[2], case[3])
      expect(status).to.equal(400)
      expect(e.message).to.contain(case[4])
    end
    expect((call("DELETE", ADA))).to.equal(501)
  end)
end)

describe("e-mails", function()
  local P = "/marketing/emails/2026-09"

  it("are made, changed, drafted, published, revised, cloned, varied and archived", function()
    local call = account()
    local status, e = call("POST", P, { name = "News", subject = "Hello" })
    expect({ status, e.state, e.type, e.isPublished, e.isAb }).to.equal { 201, "DRAFT", "BATCH_EMAIL", false, false }
    local at = P .. "/" .. e.id
    call("PATCH", at .. "/draft", { subject = "Hello again" })
    local _, live = call("GET", at)
    expect(live.subject).to.equal("Hello")
    expect(select(2, call("GET", at .. "/draft")).subject).to.equal("Hello again")
    expect((call("POST", at .. "/publish"))).to.equal(204)
    _, live = call("GET", at)
    expect({ live.subject, live.state, live.isPublished, live.publishedById }).to.equal { "Hello again", "PUBLISHED", true, "1001" }
    call("PATCH", at .. "/draft", { subject = "No" })
    expect((call("POST", at .. "/draft/reset"))).to.equal(204)
    expect(select(2, call("GET", at .. "/draft")).subject).to.equal("Hello again")
    local _, revisions = call("GET", at .. "/revisions")
    expect(revisions.total).to.equal(2)
    local first = revisions.results[2]
    expect(first.object.subject).to.equal("Hello")
    expect(select(2, call("POST", at .. "/revisions/" .. first.id .. "/restore-to-draft")).subject).to.equal("Hello")
    expect((call("POST", at .. "/revisions/" .. first.id .. "/restore"))).to.equal(204)
    expect(select(2, call("GET", at)).subject).to.equal("Hello")
    expect((call("GET", at .. "/revisions/5"))).to.equal(404)
    expect((call("POST", at .. "/unpublish"))).to.equal(204)
    expect(select(2, call("GET", at)).state).to.equal("DRAFT")

    local _, copy = call("POST", P .. "/clone", { id = e.id })
    expect({ copy.name, copy.clonedFrom }).to.equal { "News (clone)", e.id }
    expect((call("GET", at .. "/ab-test/get-variation"))).to.equal(404)
    local _, variant = call("POST", P .. "/ab-test/create-variation", { contentId = e.id, variationName = "B" })
    expect({ variant.name, variant.testing.isAbVariation, variant.type }).to.equal { "B", true, "AB_EMAIL" }
    expect(select(2, call("GET", at .. "/ab-test/get-variation")).id).to.equal(variant.id)

    task.sleep(60)
    call("POST", P, { name = "Alpha" })
    local _, all = call("GET", P .. "?sort=-createdAt&limit=2")
    expect({ all.total, all.results[1].name, #all.results, all.paging.next.after }).to.equal { 4, "Alpha", 2, "2" }
    _, all = call("GET", P .. "?type=AB_EMAIL&isPublished=false")
    expect(all.total).to.equal(2)
    expect((call("DELETE", at))).to.equal(204)
    expect((call("GET", at))).to.equal(404)
    expect(select(2, call("GET", at .. "?archived=true")).archived).to.be_true()
    expect((call("POST", P, { subject = "x" }))).to.equal(400)
    expect((call("GET", P .. "?createdAfter=soon"))).to.equal(400)
  end)

  it("go to their lists, less those who do not want them, and are counted", function()
    local call, control = account()
    for _, name in ipairs { "a", "b", "c", "d", "e" } do
      control("create", { type = "contacts", properties = { email = name .. "@example.com", city = name == "e" and "Rome" or "Oslo" } })
    end
    local oslo = control("create_list", { name = "Oslo", where = { city = "Oslo" } })
    local skip = control("create_list", { name = "Not these" })
    control("add_to_list", { list = skip.listId, id = "100001" })
    control("opt_out", { email = "B@example.com", subscription = "Marketing Information" })
    control("opt_out", { email = "c@example.com" })
    local e = control("create_email", { name = "News", subcategory = "batch", subscription = "Marketing Information",
      to = { contactIlsLists = { include = { oslo.listId }, exclude = { skip.listId } }, contactIds = { include = { "100005" } } } })
    local became = {}
    for _, mail in ipairs(control("sent_emails").emails) do became[mail.to] = mail.result end
    expect(became).to.equal { ["b@example.com"] = "PREVIOUSLY_UNSUBSCRIBED_MESSAGE", ["c@example.com"] = "PREVIOUSLY_UNSUBSCRIBED_PORTAL",
      ["d@example.com"] = "SENT", ["e@example.com"] = "SENT" }
    local _, shown = call("GET", P .. "/" .. e.id .. "?includeStats=true")
    expect({ shown.stats.counters.sent, shown.stats.counters.dropped }).to.equal { 2, 2 }
    local _, stats = call("GET", P .. "/statistics/list?emailIds=" .. e.id)
    expect({ stats.aggregate.counters.sent, stats.emails[1] }).to.equal { 2, math.tointeger(tonumber(e.id)) }
    local day = shown.createdAt:sub(1, 10)
    local _, days = call("GET", P .. "/statistics/histogram?interval=HOUR&startTimestamp=" .. day .. "T00:00:00Z&endTimestamp=" .. day
      .. "T23:59:59Z")
    local sent = 0
    for _, d in ipairs(days.results) do sent = sent + d.aggregations.counters.sent end
    expect({ days.total, sent }).to.equal { 24, 2 }
  end)
end)

describe("single sends", function()
  local SEND = "/marketing/transactional/2026-09/single-email/send"

  it("are asynchronous, idempotent by sendId, and write the contact", function()
    local call, control = account()
    local e = control("create_email", { name = "Receipt" })
    local body = { emailId = tonumber(e.id), message = { to = "Ada <Ada@example.com>", sendId = "order-7" },
      contactProperties = { firstname = "Ada" }, customProperties = { total = "12" } }
    local status, sent = call("POST", SEND, body)
    expect({ status, sent.status, sent.sendResult }).to.equal { 200, "PENDING" }
    task.sleep(2)
    local _, became = call("GET", "/marketing/v3/email/send-statuses/" .. sent.statusId)
    expect({ became.status, became.sendResult }).to.equal { "COMPLETE", "SENT" }
    expect(became.eventId.id).to.match("^%x+%-")
    local _, again = call("POST", SEND, body)
    task.sleep(2)
    expect(select(2, call("GET", "/marketing/v3/email/send-statuses/" .. again.statusId)).sendResult).to.equal("IDEMPOTENT_IGNORE")
    local _, contact = call("GET", CONTACTS .. "/ada%40example.com?idProperty=email")
    expect(contact.properties.firstname).to.equal("Ada")
    local mails = control("sent_emails", { to = "ada@example.com" }).emails
    expect({ #mails, mails[1].result, mails[1].customProperties.total, mails[2].result }).to.equal { 2, "SENT", "12", "IDEMPOTENT_IGNORE" }
  end)

  it("reach everybody when they are transactional, and otherwise who wants them", function()
    local call, control = account()
    local receipt = control("create_email", { name = "Receipt" })
    local offer = control("create_email", { name = "Offer", subcategory = "marketing_single_send_api",
      subscription = "Marketing Information" })
    local draft = control("create_email", { name = "Later", published = false })
    control("opt_out", { email = "bo@example.com" })
    control("bounce", { email = "gone@example.com" })
    local function result(path, email, to)
      local status, sent = call("POST", path, { emailId = tonumber(email.id), message = { to = to } })
      if status ~= 200 then return sent.message end
      task.sleep(2)
      return select(2, call("GET", "/marketing/v3/email/send-statuses/" .. sent.statusId)).sendResult
    end
    local MARKETING = "/marketing/email-campaigns/2026-03/single-send"
    expect(result(SEND, receipt, "bo@example.com")).to.equal("SENT")
    expect(result(MARKETING, offer, "bo@example.com")).to.equal("PREVIOUSLY_UNSUBSCRIBED_PORTAL")
    expect(result(MARKETING, offer, "cy@example.com")).to.equal("SENT")
    expect(result(SEND, receipt, "gone@example.com")).to.equal("PREVIOUSLY_BOUNCED")
    expect(result(SEND, receipt, "nowhere")).to.equal("INVALID_TO_ADDRESS")
    expect(result(SEND, draft, "cy@example.com")).to.equal("EMAIL_DISABLED")
    expect(result(SEND, offer, "cy@example.com")).to.contain("MARKETING_SINGLE_SEND_API, not a SINGLE_SEND_API")
    expect(result(SEND, { id = "5" }, "cy@example.com")).to.contain("does not exist")
    expect((call("POST", SEND, { emailId = 5 }))).to.equal(400)
    expect((call("POST", SEND, { emailId = 5, message = {} }))).to.equal(400)
    expect((call("GET", "/marketing/v3/email/send-statuses/none"))).to.equal(404)
    expect((call("POST", "/marketing/v3/transactional/smtp-tokens", {}))).to.equal(501)
  end)
end)

describe("workflows", function()
  local P = "/automation/v4/flows"
  local function flow(more)
    local out = { type = "CONTACT_FLOW", flowType = "WORKFLOW", objectTypeId = "0-1", isEnabled = true, name = "Nurture",
      actions = json.array {}, blockedDates = json.array {}, timeWindows = json.array {}, customProperties = {},
      canEnrollFromSalesforce = false, suppressionListIds = json.array {}, enrollmentCriteria = { type = "MANUAL",
        shouldReEnroll = false } }
    for k, v in pairs(more or {}) do out[k] = v end
    return out
  end
  local function single(id, type_, fields, next_)
    return { type = "SINGLE_CONNECTION", actionId = id, actionTypeId = type_, actionTypeVersion = 0, fields = fields,
      connection = next_ and { edgeType = "STANDARD", nextActionId = next_ } or nil }
  end

  it("are made, listed, replaced with their revision, read in batches and deleted", function()
    local call = account()
    local status, made = call("POST", P, flow())
    expect({ status, made.revisionId, made.nextAvailableActionId, made.crmObjectCreationStatus }).to.equal { 201, "1", "1", "COMPLETE" }
    local at = P .. "/" .. made.id
    local changed = flow { name = "Nurture 2", revisionId = "1", isEnabled = false }
    changed.flowType, changed.objectTypeId = nil, nil
    local _, put = call("PUT", at, changed)
    expect({ put.name, put.revisionId, put.flowType, put.objectTypeId }).to.equal { "Nurture 2", "2", "WORKFLOW", "0-1" }
    status = call("PUT", at, changed)
    expect(status).to.equal(409)
    local _, old = call("GET", at .. "/revisions/1")
    expect(old.flow.name).to.equal("Nurture")
    call("POST", P, flow { name = "Other", type = "PLATFORM_FLOW", objectTypeId = "0-3" })
    local _, page = call("GET", P .. "?limit=1")
    expect({ #page.results, page.results[1].name, page.results[1].isEnabled, page.paging.next.after }).to.equal { 1, "Nurture 2",
      false, "1" }
    local many
    status, many = call("POST", P .. "/batch/read", { inputs = { { type = "FLOW_ID", flowId = made.id }, { type = "FLOW_ID",
      flowId = "1" } } })
    expect({ status, #many.results, many.numErrors }).to.equal { 207, 1, 1 }
    local _, ids = call("POST", "/automation/v4/workflow-id-mappings/batch/read", { inputs = { { type = "FLOW_ID", flowId = made.id } } })
    expect(tostring(ids.results[1].flowId)).to.equal(made.id)
    expect((call("DELETE", at))).to.equal(204)
    expect((call("GET", at))).to.equal(404)
    for _, bad in ipairs { { type = "CONTACT_FLOW" }, flow { type = "X" }, flow { objectTypeId = "9-9" }, flow { actions = { {} } } } do
      expect((call("POST", P, bad))).to.equal(400)
    end
    expect((call("GET", "/automation/v4/flows/performance/1"))).to.equal(501)
  end)

  it("enroll contacts once, and run delays, e-mails, properties and lists", function()
    local call, control, _, pass = account()
    local welcome = control("create_email", { name = "Welcome", subcategory = "automated", subscription = "Marketing Information" })
    local list = control("create_list", { name = "Done" })
    local w = control("create_workflow", { name = "Nurture", actions = {
      single("1", "0-1", { delta = "30", time_unit = "MINUTES" }, "2"), single("2", "0-4", { content_id = welcome.id }, "3"),
      single("3", "0-5", { property_name = "lifecyclestage", value = { type = "STATIC_VALUE", staticValue = "opportunity" } }, "4"),
      single("4", "0-13", { list_id = list.listId, operation = "ADD" }) } })
    for _, name in ipairs { "a", "b" } do control("create", { type = "contacts", properties = { email = name .. "@example.com" } }) end
    control("opt_out", { email = "b@example.com" })
    local E = "/automation/v2/workflows/" .. w.workflowId .. "/enrollments/contacts/"
    for _, email in ipairs { "a%40example.com", "b@example.com", "a@example.com" } do expect((call("POST", E .. email))).to.equal(204) end
    expect(#control("enrollments", { workflow = "Nurture" }).enrollments).to.equal(2)
    pass(29)
    expect(#control("sent_emails").emails).to.equal(0)
    pass(2)
    local became = {}
    for _, mail in ipairs(control("sent_emails").emails) do became[mail.to] = mail.result end
    expect(became).to.equal { ["a@example.com"] = "SENT", ["b@example.com"] = "PREVIOUSLY_UNSUBSCRIBED_PORTAL" }
    expect(#control("members", { list = "Done" }).ids).to.equal(2)
    expect(control("get", { type = "contacts", id = "100001" }).properties.lifecyclestage).to.equal("opportunity")
    local e = control("enrollments", { workflow = w.flowId }).enrollments[1]
    expect({ e.contact, e.action, e.why }).to.equal { "100001", "4" }
    local _, campaigns = call("GET", P .. "/email-campaigns?flowId=" .. w.flowId)
    expect({ campaigns.results[1].emailContentId, campaigns.results[1].emailCampaignId }).to.equal { welcome.id,
      welcome.primaryEmailCampaignId }

    -- Who was in it stays out of it, unless it says otherwise.
    call("POST", E .. "a@example.com")
    expect(#control("enrollments", { workflow = "Nurture" }).enrollments).to.equal(2)
    for _, case in ipairs { { E .. "nobody@example.com", 404 }, { "/automation/v2/workflows/1/enrollments/contacts/a@example.com",
      404 } } do
      expect((call("POST", case[1]))).to.equal(case[2])
    end
    control("create_workflow", { name = "Off", enabled = false })
    expect(function() control("enroll", { workflow = "Off", email = "a@example.com" }) end).to.raise("is not turned on")
  end)

  it("stop where an action is not simulated, and when a contact is taken out", function()
    local call, control, _, pass = account()
    control("create", { type = "contacts", properties = { email = "a@example.com" } })
    local w = control("create_workflow", { name = "Notify", re_enroll = true, actions = { single("1", "0-9", {}) } })
    local E = "/automation/v2/workflows/" .. w.workflowId .. "/enrollments/contacts/a@example.com"
    call("POST", E)
    call("POST", E)
    local list = control("enrollments", { workflow = "Notify" }).enrollments
    expect({ #list, list[1].why }).to.equal { 2, "an action 0-9 is not simulated" }
    local slow = control("create_workflow", { name = "Slow", actions = { single("1", "0-1", { delta = 5, time_unit = "MINUTES" }, "2"),
      single("2", "0-5", { property_name = "city", value = { type = "STATIC_VALUE", staticValue = "Rome" } }) } })
    E = "/automation/v2/workflows/" .. slow.workflowId .. "/enrollments/contacts/a@example.com"
    call("POST", E)
    expect((call("DELETE", E))).to.equal(204)
    pass(10)
    expect(control("enrollments", { workflow = "Slow" }).enrollments[1].why).to.equal("unenrolled")
    expect(control("get", { type = "contacts", id = "100001" }).properties.city).to.be_nil()
  end)
end)

describe("users", function()
  it("are owners and the administrator; who is removed leaves an archived owner", function()
    local call, control = account { token = TOKEN, owners = 3 }
    local P = "/settings/users/2026-03"
    local _, all = call("GET", P .. "?limit=3")
    expect({ #all.results, all.results[1].superAdmin, all.paging.next.after }).to.equal { 3, true, all.results[3].id }
    local team = control("create_team", { name = "East" }).id
    local status, made = call("POST", P, { email = "New@example.com", sendWelcomeEmail = false, firstName = "New", roleId = "9001",
      primaryTeamId = team })
    expect({ status, made.email, made.roleIds[1], made.primaryTeamId }).to.equal { 201, "new@example.com", "9001", team }
    local _, owners = call("GET", "/crm/owners/2026-09?email=new%40example.com")
    expect(owners.results[1].firstName).to.equal("New")
    local _, changed = call("PUT", P .. "/new@example.com?idProperty=EMAIL", { lastName = "Er", secondaryTeamIds = { "5001" } })
    expect({ changed.id, changed.lastName, changed.secondaryTeamIds }).to.equal { made.id, "Er", { "5001" } }
    local _, teams = call("GET", P .. "/teams")
    expect({ teams.results[1].secondaryUserIds, teams.results[2].userIds }).to.equal { { made.id }, { made.id } }
    expect(#select(2, call("GET", P .. "/roles")).results).to.equal(3)
    expect((call("POST", P, { email = "new@example.com", sendWelcomeEmail = false }))).to.equal(409)
    expect((call("POST", P, { email = "nobody", sendWelcomeEmail = false }))).to.equal(400)
    expect((call("PUT", P .. "/" .. made.id, { roleId = "5" }))).to.equal(400)
    expect((call("DELETE", P .. "/1001"))).to.equal(400)
    expect((call("DELETE", P .. "/" .. made.id))).to.equal(204)
    expect((call("GET", P .. "/" .. made.id))).to.equal(404)
    _, owners = call("GET", "/crm/owners/2026-09?archived=true")
    expect(owners.results[1].email).to.equal("new@example.com")
    expect((call("GET", "/settings/v3/users/1001"))).to.equal(200)
  end)

  it("are made from outside, too", function()
    local call, control = account { token = TOKEN, owners = 1 }
    expect(control("owner", { email = "Ana@mine.example" }).made).to.equal(true)
    expect(control("owner", { email = "ana@mine.example" }).made).to.be_nil()
    local _, owners = call("GET", "/crm/owners/2026-09")
    expect({ #owners.results, owners.results[2].email }).to.equal { 2, "ana@mine.example" }
  end)

  it("and the other rooms are behind their scopes", function()
    local limited = { { token = TOKEN, scopes = { "crm.objects.contacts.read" } } }
    local call = account { tokens = limited }
    for _, target in ipairs { "/settings/users/2026-03", "/automation/v4/flows", "/marketing/emails/2026-09",
      "/communication-preferences/2026-09/definitions" } do
      local status, e = call("GET", target)
      expect({ status, e.category }).to.equal { 403, "MISSING_SCOPES" }
    end
  end)
end)
