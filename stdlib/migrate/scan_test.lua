--- The measure of `hubloop migrate`: programs and exports as people have them, with what must be found in them and what only
--- looks like it. A mark at a line's end tells what is there: `@@key`, `@@path NEW` (the dated path; `-`: there is none),
--- several divided by `;`. It is taken off before the text is read. Nothing else may be found.
-- luacheck: no max line length
local scan = require "migrate.scan"

local CORPUS <const> = {}
local function file(name) return function(s) CORPUS[#CORPUS + 1] = { name = name, text = s } end end

file "contacts.js" [[
const hubspot = require('@hubspot/api-client');
const OpenAI = require('openai');
const client = new hubspot.Client({ apiKey: process.env.HUBSPOT_API_KEY }); @@key
const modern = new hubspot.Client({ accessToken: process.env.HUBSPOT_TOKEN });
const dev = new hubspot.Client({ developerApiKey: process.env.HUBSPOT_DEVELOPER_API_KEY });
const ai = new OpenAI({ apiKey: process.env.OPENAI_API_KEY });
const BASE = 'https://api.hubapi.com';
const key = loadKey();
async function f(id, type) {
  await axios.get(`${BASE}/crm/v3/objects/contacts/${id}?hapikey=${key}`); @@key; path /crm/objects/2026-09/contacts/{}
  await axios.post("https://api.hubapi.com/contacts/v1/contact/vid/" + id + "/profile?hapikey=" + key, body); @@key; path /crm/objects/2026-09/contacts/{}
  await fetch(BASE + '/crm/v3/objects/' + type + '/' + id, { method: 'PATCH' }); @@path /crm/objects/2026-09/{}/{}
  await fetch(BASE + '/crm/objects/2026-09/contacts/' + id);
  const url = 'https://api.hubapi.com' +
    '/companies/v2/companies/' + id + @@path /crm/objects/2026-09/companies/{}/associations/contacts
    '/contacts';
  await axios.get(url, { params: { hapikey: key } }); @@key
  const q = new URLSearchParams({ hapikey: key, count: 1 }); @@key
  await axios({ method: 'post', url: 'https://api.hubapi.com/crm/v3/objects/deals/search', data: {} }); @@path /crm/objects/2026-09/deals/search
  await axios.get("https://api.pipedrive.com/crm/v3/objects/contacts");
  await axios.get("https://developers.hubspot.com/docs/api/crm/v3/objects/contacts");
  logger.warn('hapikey is not supported any more');
  return url.replace(/hapikey=[^&]+/, 'hapikey=[redacted]');
}
// hapikey ended in 2022, and /contacts/v1/lists with it
/* GET https://api.hubapi.com/contacts/v1/lists?hapikey=demo
 */
const SENSITIVE = ['hapikey', 'access_token', 'client_secret'];
const chapikeys = 1, hapikeyboard = 2;
]]

file "src/client.ts" [[
import { Client } from '@hubspot/api-client';
import Mailchimp from 'mailchimp-api-v3';
import { lists } from './contacts/v1/lists';
export const hs = new Client({
  apiKey: config.key, @@key
  numberOfApiCallRetries: 3,
});
const mc = new Mailchimp({ apiKey: config.mailchimp });
const stripe = axios.create({ baseURL: 'https://api.stripe.com/v1', params: { api_key: s } });
const http = axios.create({ baseURL: 'https://api.hubapi.com/' }); export const all = (id: string) => http.get<Page>(`/crm/v3/objects/tickets`, { params: { id } }); @@path /crm/objects/2026-09/tickets
export const assoc = (a: string, b: string) => http.put(`/crm/v4/objects/contacts/${a}/associations/default/companies/${b}`); @@path /crm/objects/2026-09/contacts/{}/associations/default/companies/{}
export const old = (b: Body) => http.post('/crm/v3/associations/contacts/companies/batch/create', b); @@path /crm/associations/2026-09/contacts/companies/batch/create
export const owners = () => http.get('crm/v3/owners'); @@path /crm/owners/2026-09
export const youtube = () => fetch('https://www.googleapis.com/youtube/v3/search?key=' + k);
expect(request.url).not.toContain('hapikey');
expect(request.url).not.toContain('/contacts/v1');
]]

file "sync.py" [[
import os, requests
from hubspot import HubSpot
API = "https://api.hubapi.com"
HAPIKEY = os.environ["HUBSPOT_HAPIKEY"] @@key
client = HubSpot(api_key=os.getenv("KEY")) @@key
fine = HubSpot(access_token=os.getenv("TOKEN"))
sg = sendgrid.SendGridAPIClient(api_key=os.environ.get('SENDGRID_API_KEY'))

def contact(vid, email):
    """Was GET /contacts/v1/contact/vid/:vid/profile with hapikey=..., once."""
    r = requests.get(f"{API}/contacts/v1/contact/email/{email}/profile", params={"hapikey": HAPIKEY}) @@key; path /crm/objects/2026-09/contacts/{}
    r = requests.get(API + "/contacts/v1/contact/vid/%s/profile" % vid) @@path /crm/objects/2026-09/contacts/{}
    r = requests.post("{}/crm/v3/objects/contacts/batch/read".format(API), json={}) @@path /crm/objects/2026-09/contacts/batch/read
    r = requests.delete(
        "https://api.hubapi.com"
        "/deals/v1/deal/%d" % vid, @@path /crm/objects/2026-09/deals/{}
        headers=headers)
    r = requests.get("https://api.example.com/v1/contacts")
    r = requests.get(f"{API}/crm/properties/2026-09/contacts")
    if "hapikey" in r.url: raise ValueError
    # requests.get(API + "/owners/v2/owners")
    return r
]]

file "lib/hubspot/crm.rb" [[
require 'hubspot-ruby'
Hubspot.configure(hapikey: ENV['HUBSPOT_API_KEY']) @@key
Stripe.api_key = ENV['STRIPE_KEY']
class Crm
  include HTTParty
  base_uri 'https://api.hubapi.com' def deal(id) = self.class.get("/deals/v1/deal/#{id}", query: { hapikey: key }) @@key; path /crm/objects/2026-09/deals/{}
  def stages = self.class.get('/crm/v3/pipelines/deals') @@path /crm/pipelines/2026-09/deals
  def create(props)
    self.class.post('/companies/v2/companies', body: props.to_json) @@path /crm/objects/2026-09/companies
  end
  def forget = Rails.application.config.filter_parameters += [:hapikey, :token]
  # see https://legacydocs.hubspot.com/docs/methods/deals/v1/get_deal
end
]]

file "HubSpot.php" [[
<?php
use SevenShores\Hubspot\Factory;
$hubspot = \HubSpot\Factory::createWithApiKey(getenv('HS')); @@key
$token = \HubSpot\Factory::createWithAccessToken(getenv('HS'));
$mailgun = Mailgun::create(['apiKey' => $mg]);
define('HUBSPOT_URL', 'https://api.hubapi.com'); $url = HUBSPOT_URL . '/contacts/v1/contact/createOrUpdate/email/' . urlencode($email) . '/?hapikey=' . $hapikey; @@key; path /crm/objects/2026-09/contacts/batch/upsert
$ch = curl_init('https://api.hubapi.com/engagements/v1/engagements?' . http_build_query(['hapikey' => $key])); @@key; path /crm/objects/2026-09/notes
curl_setopt($ch, CURLOPT_POST, true); $r = $http->request('GET', 'https://api.hubapi.com/crm/v3/objects/line_items/' . $id); @@path /crm/objects/2026-09/line_items/{}
$r = $http->request('GET', "https://api.hubapi.com/crm/v3/properties/$type"); @@path /crm/properties/2026-09/{}
$r = $http->get('https://api.zoho.com/crm/v3/Contacts');
$safe = preg_replace('/hapikey=[a-z0-9-]+/', 'hapikey=***', $url);
]]

file "src/main/java/Hub.java" [[
package com.acme.hubspot;
public class Hub {
  private static final String BASE = "https://api.hubapi.com"; private static final String CONTACTS = BASE + "/crm/v3/objects/contacts"; @@path /crm/objects/2026-09/contacts
  @Value("${hubspot.api-key}") String apiKey; @@key
  String all(String id) {
    var req = HttpRequest.newBuilder(URI.create(BASE + "/properties/v1/contacts/properties?hapikey=" + apiKey)).GET().build(); @@key; path /crm/properties/2026-09/contacts
    rest.getForObject(BASE + "/owners/v2/owners/" + id, Owner.class); @@path /crm/owners/2026-09/{}
    uri.queryParam("hapikey", apiKey); @@key
    uri.queryParam("api_key", other);
    return "https://maps.googleapis.com/maps/api/v3/geocode";
  }
}
]]

file "hub.go" [[
package hub
import "github.com/acme/hubspot/crm/v3/client"
const baseURL = "https://api.hubapi.com"
func Get(id string) (*http.Response, error) {
	req, _ := http.NewRequest(http.MethodPost, baseURL+"/crm/v3/objects/deals/batch/update", nil) @@path /crm/objects/2026-09/deals/batch/update
	q := req.URL.Query()
	q.Add("hapikey", os.Getenv("KEY")) @@key
	r, _ := http.Get(fmt.Sprintf("%s/companies/v2/companies/%s?hapikey=%s", baseURL, id, key)) @@key; path /crm/objects/2026-09/companies/{}
	k8s.Get("/apis/apps/v1/deployments")
	return http.Get("https://slack.com/api/v1/contacts")
}
]]

file "Hub.cs" [[
using HubSpot.NET.Core;
var api = new HubSpotApi("YOUR-KEY-HERE"); @@key
var res = await http.GetAsync($"https://api.hubapi.com/crm/v3/objects/companies/{id}"); @@path /crm/objects/2026-09/companies/{}
var del = await http.DeleteAsync("https://api.hubapi.com/contacts/v1/contact/vid/" + vid); @@path /crm/objects/2026-09/contacts/{}
var ai = new OpenAIClient(apiKey: settings.OpenAi);
var graph = await http.GetAsync("https://graph.microsoft.com/v1.0/contacts/v1");
]]

file "sync.sh" [[
#!/bin/sh
# curl "https://api.hubapi.com/contacts/v1/lists/all?hapikey=$KEY" was the old way
BASE=https://api.hubapi.com
export HUBSPOT_API_KEY=abc @@key
curl "https://api.hubapi.com/contacts/v1/lists/all/contacts/all?hapikey=$HUBSPOT_API_KEY&count=100" @@key; path /crm/objects/2026-09/contacts
curl -X POST -H 'Content-Type: application/json' -d @c.json "$BASE/crm/v3/objects/contacts" @@path /crm/objects/2026-09/contacts
curl --request PATCH \
  --url https://api.hubapi.com/crm/v3/objects/deals/42 \ @@path /crm/objects/2026-09/deals/{42}
  --header "authorization: Bearer $TOKEN"
curl https://api.github.com/repos/x/y/contents/contacts/v1/contact
curl "https://api.hubapi.com/crm/objects/2026-09/contacts"
echo "$URL" | sed 's/hapikey=[^&]*/hapikey=REDACTED/'
]]

file "Hub.kt" [[
val hub = "https://api.hubapi.com"
val contact = client.get("$hub/contacts/v1/contact/vid/$id/profile") { parameter("hapikey", key) } @@key; path /crm/objects/2026-09/contacts/{}
val list = client.post("$hub/crm/v3/lists/search") @@path /crm/lists/2026-09/search
val play = "https://androidpublisher.googleapis.com/androidpublisher/v3/applications"
]]

file "Hub.swift" [[
let hubspot = "https://api.hubapi.com" let url = URL(string: "\(hubspot)/crm/v3/objects/contacts/\(id)")! @@path /crm/objects/2026-09/contacts/{}
let item = URLQueryItem(name: "hapikey", value: key) @@key
]]

file "hub.rs" [[
const HUBSPOT: &str = "https://api.hubapi.com"; let url = format!("{}/crm/v3/objects/contacts/{}", HUBSPOT, id); @@path /crm/objects/2026-09/contacts/{}
let res = client.get("https://api.hubapi.com/contacts/v1/search/query").query(&[("hapikey", key), ("q", q)]).send(); @@key; path /crm/objects/2026-09/contacts/search
]]

file "hub.ex" [[
@base "https://api.hubapi.com"
def get(id), do: HTTPoison.get(@base <> "/crm/v3/objects/contacts/" <> id, [], params: [hapikey: key()]) @@key; path /crm/objects/2026-09/contacts/{}
]]

file "hub.pl" [[
my $res = $ua->get("https://api.hubapi.com/deals/v1/deal/paged?hapikey=" . $ENV{HAPIKEY}); @@key; path /crm/objects/2026-09/deals
my $ok = $ua->get('https://api.hubapi.com' . '/crm/v3/objects/' . 'products'); @@path /crm/objects/2026-09/products
]]

file "hub.lua" [[
local url = "https://api.hubapi.com/crm/v3/objects/" .. kind .. "/" .. id @@path /crm/objects/2026-09/{}/{}
-- "/contacts/v1/lists" is old
local other = "https://example.com/contacts/v1/lists"
]]

file "Module1.bas" [[
' HubSpot contacts into the sheet
url = "https://api.hubapi.com/contacts/v1/contact/email/" & Range("A1") & "/profile?hapikey=" & key @@key; path /crm/objects/2026-09/contacts/{}
]]

file "config/settings.yml" [[
hubspot:
  api_key: abc @@key
  base: https://api.hubapi.com/crm/v3/objects/contacts @@path /crm/objects/2026-09/contacts
mailchimp:
  api_key: def
  base: https://us1.api.mailchimp.com/v3/lists
]]

file ".env.example" [[
# HUBSPOT_API_KEY is gone
HUBSPOT_API_KEY= @@key
HUBSPOT_DEVELOPER_API_KEY=dev
HUBSPOT_ACCESS_TOKEN=
OPENAI_API_KEY=sk
]]

file "appsettings.json" [[
{
  "HubSpot": {
    "ApiKey": "abc", @@key
    "Url": "https://api.hubapi.com/crm/v3/objects" @@path /crm/objects/2026-09
  },
  "SendGrid": { "ApiKey": "def" }
}
]]

file "n8n.json" [[
{
  "nodes": [
    {
      "type": "n8n-nodes-base.hubspot",
      "parameters": { "authentication": "apiKey", "resource": "contact" } @@key
    },
    {
      "type": "n8n-nodes-base.hubspot",
      "parameters": { "authentication": "appToken" },
      "credentials": { "hubspotAppToken": { "id": "1" } }
    },
    {
      "type": "n8n-nodes-base.hubspot",
      "credentials": { "hubspotApi": { "id": "2" } } @@key
    },
    {
      "type": "n8n-nodes-base.httpRequest",
      "parameters": {
        "url": "=https://api.hubapi.com/crm/v3/objects/contacts/{{ $json.id }}", @@path /crm/objects/2026-09/contacts/{}
        "queryParameters": { "parameters": [ { "name": "hapikey", "value": "={{ $json.key }}" } ] } @@key
      }
    },
    {
      "type": "n8n-nodes-base.code", "parameters": { "jsCode": "const r = await get(\"https://api.hubapi.com/owners/v2/owners\");\nreturn r;" } @@path /crm/owners/2026-09
    },
    { "type": "n8n-nodes-base.openAi", "parameters": { "authentication": "apiKey" } }
  ]
}
]]

file "postman.json" [[
{ "info": { "name": "HubSpot" }, "item": [ { "request": {
  "method": "GET",
  "auth": { "type": "apikey", "apikey": [ { "key": "key", "value": "hapikey" }, { "key": "in", "value": "query" } ] }, @@key
  "url": {
    "raw": "{{baseUrl}}/crm/v3/objects/contacts?hapikey={{hapikey}}", @@key; path /crm/objects/2026-09/contacts
    "host": ["{{baseUrl}}"],
    "path": ["crm", "v3", "objects", "contacts"], @@path /crm/objects/2026-09/contacts
    "query": [ { "key": "hapikey", "value": "{{hapikey}}" } ] @@key
  } } } ] }
]]

file "zap.json" [[
{"steps":[{"app":"webhook","params":{"url":"https:\/\/api.hubapi.com\/contacts\/v1\/contact\/?hapikey=abc","method":"POST"}}]} @@key; path /crm/objects/2026-09/contacts
]]

file "requests.http" [[
GET https://api.hubapi.com/crm/v3/owners?limit=1 @@path /crm/owners/2026-09
Authorization: Bearer {{token}}

### docs at https://developers.hubspot.com/docs/reference/api/crm/v3
POST https://api.hubapi.com/oauth/v1/token @@path /oauth/2026-09/token
]]

file "README.md" [[
# Sync with HubSpot
We moved away from hapikey and `/contacts/v1/contact` in 2023.
Call it so:

```sh
curl "https://api.hubapi.com/contacts/v1/lists?hapikey=YOURKEY" @@key; path /crm/lists/2026-09/search
```
]]

file "bearer.js" [[
// HubSpot's token, under its old name
const t = process.env.HUBSPOT_API_KEY;
fetch('https://api.hubapi.com/crm/objects/2026-09/contacts', { headers: { Authorization: `Bearer ${process.env.HUBSPOT_API_KEY}` } });
]]

file "routes.js" [[
// receives HubSpot's webhooks
app.post('/webhooks/v1/hubspot', receive);
app.get('/api/v1/contacts', list);
app.use('/files/v3', express.static('files'));
log.error('GET failed for /crm/v3/objects/contacts: ' + e);
]]

file "query.sql" [[
-- HubSpot paths called last week
SELECT count(*) FROM calls WHERE vendor = 'hubspot' AND version = 'v3';
]]

-- Without their marks, and the marks: "line key", "line path NEW".
local function marked(source)
  local lines, want = {}, {}
  for line in source:gmatch("([^\n]*)\n") do
    local text, marks = line:match("^(.-) @@(.*)$")
    lines[#lines + 1] = text or line
    for mark in (marks or ""):gmatch("[^;]+") do
      want[#want + 1] = ("%d %s"):format(#lines, (mark:match("^%s*(.-)%s*$"):gsub("{42}", "42")))
    end
  end
  return table.concat(lines, "\n") .. "\n", want
end

local function told(found, bearer)
  local list = {}
  for _, finding in ipairs(found) do
    if finding.kind == "api-key" then
      if not (finding.name and bearer[finding.name]) then list[#list + 1] = ("%d key"):format(finding.line) end
    else list[#list + 1] = ("%d path %s"):format(finding.line, finding.replacement or "-") end
  end
  return list
end

describe("the corpus", function()
  for _, one in ipairs(CORPUS) do
    it(one.name, function()
      local source, want = marked(one.text)
      local found, _, also = scan.file(one.name, source)
      local list = told(found, also.bearer)
      table.sort(list)
      table.sort(want)
      expect(table.concat(list, "\n")).to.equal(table.concat(want, "\n"))
    end)
  end
end)
