-- email_campaign.lua against the simulator: its list, its e-mail and its people, in virtual time.
local LIST, list = "Leads", nil
local count = 0

local function start(names)
  list = sim.create_list(LIST)
  sim.control("create_email", { name = "Autumn", subcategory = "marketing_single_send_api", subscription = "Marketing Information" })
  local ids = {}
  for i, name in ipairs(names or {}) do
    ids[i] = sim.create("contacts", { email = name .. "@x.example", firstname = name })
    sim.add_to_list(list, ids[i])
  end
  sim.advance("1h")                                      -- they have been on it for a while
  sim.load "email_campaign.lua"
  sim.advance("2m")
  return ids
end

local function people(n)
  local names = {}
  for i = 1, n do
    count = count + 1
    names[i] = ("p%03d"):format(count)
  end
  return names
end

-- To whom e-mails went, and what became of those that did not go.
local function mailed()
  local went, not_sent = {}, {}
  for _, mail in ipairs(sim.emails()) do
    table.insert(mail.result == "SENT" and went or not_sent, mail.to)
  end
  table.sort(went)
  return went, not_sent
end

-- Each once.
local function expect_each_once(names)
  local wanted = {}
  for i, name in ipairs(names) do wanted[i] = name .. "@x.example" end
  table.sort(wanted)
  expect((mailed())).to.equal(wanted)
  expect(sim.events().dead).to.equal(0)
end

describe("e-mail campaign", function()
  it("writes to those on the list, and to who comes onto it later", function()
    start { "ana", "bo" }
    expect_each_once { "ana", "bo" }
    expect(sim.emails()[1].customProperties).to.equal { firstname = "ana" }
    local late = sim.create("contacts", { email = "late@x.example" })
    sim.add_to_list(list, late)
    sim.advance("2m")
    expect_each_once { "ana", "bo", "late" }
    expect(sim.emails()[3].customProperties).to.equal { firstname = "there" }
  end)

  it("asks each person's preferences before, and does not even try where the answer is no", function()
    for _, name in ipairs { "all", "kind" } do sim.create("contacts", { email = name .. "0@x.example" }) end
    sim.control("opt_out", { email = "all@x.example" })
    sim.control("opt_out", { email = "kind@x.example", subscription = "Marketing Information" })
    sim.control("opt_out", { email = "other@x.example", subscription = "One to One" })
    start { "all", "kind", "other" }
    expect_each_once { "other" }
    expect(select(2, mailed())).to.equal {}
    expect(sim.log()).to.contain("has unsubscribed from all e-mail")
    expect(sim.log()).to.contain("has unsubscribed from Marketing Information")
  end)

  it("keeps the pace, and respects who unsubscribes while the e-mail waits", function()
    local names = people(150)
    local ids = start(names)
    sim.advance("30m")
    expect(#(mailed())).to.equal(100)
    local went, left = {}, {}
    for _, to in ipairs((mailed())) do went[to] = true end
    for _, name in ipairs(names) do
      if not went[name .. "@x.example"] then left[#left + 1] = name end
    end
    sim.control("opt_out", { email = left[1] .. "@x.example" })
    for i, name in ipairs(names) do
      if name == left[2] then sim.control("delete", { type = "contacts", id = ids[i] }) end
    end
    sim.advance("1h")
    expect(#(mailed())).to.equal(148)
    expect(sim.events().dead).to.equal(0)
  end)

  it("leaves out who has no address, and says what is missing in the account", function()
    list = sim.create_list(LIST)
    sim.load "email_campaign.lua"
    for _, fields in ipairs { { firstname = "Nobody" }, { lastname = "<script>" }, { email = "ana@x.example" } } do
      sim.add_to_list(list, sim.create("contacts", fields))
    end
    sim.advance("5m")
    expect(sim.log()).to.contain("has no e-mail address")
    expect(sim.log()).to.contain("Email with id 180000001 does not exist")
    expect(sim.events().dead).to.equal(1)                -- waits for the e-mail, and can be sent then
    expect(sim.emails()).to.equal {}
  end)

  it("sends one e-mail to an address that two have, and to a person who has another address by now", function()
    local ids = start { "same" }
    sim.remove_from_list(list, ids[1])
    sim.update("contacts", ids[1], { email = "new@x.example" })
    sim.advance("3m")
    sim.add_to_list(list, ids[1])
    sim.add_to_list(list, sim.create("contacts", { email = "Same@X.example" }))
    sim.advance("5m")
    expect_each_once { "same" }
    expect(#sim.emails()).to.equal(1)
  end)

  it("goes on after a crash in the middle of a call that sends", function()
    local names = people(8)
    start()
    for _, name in ipairs(names) do sim.add_to_list(list, sim.create("contacts", { email = name .. "@x.example" })) end
    sim.crash { method = "POST", path = "single-send", call = 3 }
    sim.advance("3m")
    expect(#(mailed())).to.equal(3)                      -- of the third nobody has heard
    sim.restart()
    sim.advance("1h")
    expect_each_once(names)
    local before = #sim.emails()
    sim.crash()
    sim.restart()
    sim.advance("1h")                                    -- the list is asked for again
    expect(#sim.emails()).to.equal(before)
  end)

  it("gets through a storm of 429s and lost answers with one e-mail each", function()
    sim.fail { status = 429, policy = "TEN_SECONDLY_ROLLING", times = 40, path = "communication-preferences" }
    sim.fail { status = 429, policy = "TEN_SECONDLY_ROLLING", times = 20, path = "single-send" }
    sim.fail { drop = "after", times = 3, path = "single-send" }
    sim.fail { status = 503, times = 3, path = "single-send" }
    local names = people(20)
    start(names)
    sim.advance("1h")
    expect(sim.control("stats").limited).to.equal(60)
    expect_each_once(names)
  end)

  it("does not write again to who leaves the list and comes back", function()
    local ids = start { "ana" }
    sim.remove_from_list(list, ids[1])
    sim.advance("2m")
    sim.add_to_list(list, ids[1])
    sim.advance("5m")
    expect_each_once { "ana" }
    expect(#sim.emails()).to.equal(1)
  end)
end)
