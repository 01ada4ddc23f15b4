--- The measure of `hubloop migrate`: programs and exports as people have them, with what must be found in them and what only
--- looks like it. A mark at a line's end tells what is there: `@@key`, `@@path NEW` (the dated path; `-`: there is none),
--- `@@client NEW`, several divided by `;`. It is taken off before the text is read. Nothing else may be found. "=== NAME" begins a file.
-- luacheck: no max line length
local scan = require "migrate.scan"
local text = require "migrate.text"

local CORPUS <const> = [==[
=== contacts.js
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
logger.info('hapikey=%s', '***');
const chapikeys = 1, hapikeyboard = 2;
=== src/client.ts
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
=== sync.py
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
=== lib/hubspot/crm.rb
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
=== HubSpot.php
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
=== src/main/java/Hub.java
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
=== hub.go
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
=== Hub.cs
using HubSpot.NET.Core;
var api = new HubSpotApi("YOUR-KEY-HERE"); @@key
var res = await http.GetAsync($"https://api.hubapi.com/crm/v3/objects/companies/{id}"); @@path /crm/objects/2026-09/companies/{}
var del = await http.DeleteAsync("https://api.hubapi.com/contacts/v1/contact/vid/" + vid); @@path /crm/objects/2026-09/contacts/{}
var ai = new OpenAIClient(apiKey: settings.OpenAi);
var graph = await http.GetAsync("https://graph.microsoft.com/v1.0/contacts/v1");
=== sync.sh
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
=== Hub.kt
val hub = "https://api.hubapi.com"
val contact = client.get("$hub/contacts/v1/contact/vid/$id/profile") { parameter("hapikey", key) } @@key; path /crm/objects/2026-09/contacts/{}
val list = client.post("$hub/crm/v3/lists/search") @@path /crm/lists/2026-09/search
val play = "https://androidpublisher.googleapis.com/androidpublisher/v3/applications"
=== Hub.swift
let hubspot = "https://api.hubapi.com" let url = URL(string: "\(hubspot)/crm/v3/objects/contacts/\(id)")! @@path /crm/objects/2026-09/contacts/{}
let item = URLQueryItem(name: "hapikey", value: key) @@key
=== hub.rs
const HUBSPOT: &str = "https://api.hubapi.com"; let url = format!("{}/crm/v3/objects/contacts/{}", HUBSPOT, id); @@path /crm/objects/2026-09/contacts/{}
let res = client.get("https://api.hubapi.com/contacts/v1/search/query").query(&[("hapikey", key), ("q", q)]).send(); @@key; path /crm/objects/2026-09/contacts/search
=== hub.ex
@base "https://api.hubapi.com"
def get(id), do: HTTPoison.get(@base <> "/crm/v3/objects/contacts/" <> id, [], params: [hapikey: key()]) @@key; path /crm/objects/2026-09/contacts/{}
=== hub.pl
my $res = $ua->get("https://api.hubapi.com/deals/v1/deal/paged?hapikey=" . $ENV{HAPIKEY}); @@key; path /crm/objects/2026-09/deals
my $ok = $ua->get('https://api.hubapi.com' . '/crm/v3/objects/' . 'products'); @@path /crm/objects/2026-09/products
=== hub.lua
local url = "https://api.hubapi.com/crm/v3/objects/" .. kind .. "/" .. id @@path /crm/objects/2026-09/{}/{}
-- "/contacts/v1/lists" is old
local other = "https://example.com/contacts/v1/lists"
=== Module1.bas
' HubSpot contacts into the sheet
url = "https://api.hubapi.com/contacts/v1/contact/email/" & Range("A1") & "/profile?hapikey=" & key @@key; path /crm/objects/2026-09/contacts/{}
=== config/settings.yml
hubspot:
  api_key: abc @@key
  base: https://api.hubapi.com/crm/v3/objects/contacts @@path /crm/objects/2026-09/contacts
mailchimp:
  api_key: def
  base: https://us1.api.mailchimp.com/v3/lists
=== .env.example
# HUBSPOT_API_KEY is gone
HUBSPOT_API_KEY= @@key
HUBSPOT_DEVELOPER_API_KEY=dev
HUBSPOT_ACCESS_TOKEN=
OPENAI_API_KEY=sk
=== appsettings.json
{
  "HubSpot": {
    "ApiKey": "abc", @@key
    "Url": "https://api.hubapi.com/crm/v3/objects" @@path /crm/objects/2026-09
  },
  "SendGrid": { "ApiKey": "def" }
}
=== n8n.json
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
=== postman.json
{ "info": { "name": "HubSpot" }, "item": [ { "request": {
  "method": "GET",
  "auth": { "type": "apikey", "apikey": [ { "key": "key", "value": "hapikey" }, { "key": "in", "value": "query" } ] }, @@key
  "url": {
    "raw": "{{baseUrl}}/crm/v3/objects/contacts?hapikey={{hapikey}}", @@key; path /crm/objects/2026-09/contacts
    "host": ["{{baseUrl}}"],
    "path": ["crm", "v3", "objects", "contacts"], @@path /crm/objects/2026-09/contacts
    "query": [ { "key": "hapikey", "value": "{{hapikey}}" } ] @@key
  } } } ] }
=== zap.json
{"steps":[{"app":"webhook","params":{"url":"https:\/\/api.hubapi.com\/contacts\/v1\/contact\/?hapikey=abc","method":"POST"}}]} @@key; path /crm/objects/2026-09/contacts
=== requests.http
GET https://api.hubapi.com/crm/v3/owners?limit=1 @@path /crm/owners/2026-09
Authorization: Bearer {{token}}

### docs at https://developers.hubspot.com/docs/reference/api/crm/v3
POST https://api.hubapi.com/oauth/v1/token @@path /oauth/2026-09/token
=== README.md
# Sync with HubSpot
We moved away from hapikey and `/contacts/v1/contact` in 2023.
Call it so:

```sh
curl "https://api.hubapi.com/contacts/v1/lists?hapikey=YOURKEY" @@key; path /crm/lists/2026-09/search
```
=== bearer.js
// HubSpot's token, under its old name
const t = process.env.HUBSPOT_API_KEY;
fetch('https://api.hubapi.com/crm/objects/2026-09/contacts', { headers: { Authorization: `Bearer ${process.env.HUBSPOT_API_KEY}` } });
=== routes.js
// receives HubSpot's webhooks
app.post('/webhooks/v1/hubspot', receive);
app.get('/api/v1/contacts', list);
app.use('/files/v3', express.static('files'));
log.error('GET failed for /crm/v3/objects/contacts: ' + e);
=== query.sql
-- HubSpot paths called last week
SELECT count(*) FROM calls WHERE vendor = 'hubspot' AND version = 'v3';
=== src/legacy.js
import axios from 'axios';
const API_KEY = process.env.HAPIKEY; @@key
const HUBSPOT_BASE_URL = 'https://api.hubapi.com/crm/v3'; @@path -
const VERSION = 'v3';
export const getOne = id => axios.get(`${HUBSPOT_BASE_URL}/objects/contacts/${encodeURIComponent(id)}`); @@path /crm/objects/2026-09/contacts/{}
export const getTwo = id => axios.get('https://api.hubapi.com/crm/' + VERSION + '/objects/companies/' + id); @@path /crm/objects/2026-09/companies/{}
export const getThree = id => axios.get(`https://api.hubapi.com/crm/${VERSION}/objects/deals/${id}`); @@path /crm/objects/2026-09/deals/{}
export const qs = { qs: { hapikey: API_KEY, limit: 100 } }; @@key
url.searchParams.set('hapikey', API_KEY); @@key
url.searchParams.append("hapikey", API_KEY); @@key
params['hapikey'] = API_KEY; @@key
params.hapikey = API_KEY; @@key
const { hapikey } = config; @@key
const u = new URL('/crm/v3/objects/contacts', 'https://api.hubapi.com'); @@path /crm/objects/2026-09/contacts
const u2 = ['https://api.hubapi.com', 'crm', 'v3', 'objects', 'contacts'].join('/'); @@path /crm/objects/2026-09/contacts
request({ uri: 'https://api.hubapi.com/email/public/v1/singleEmail/send', method: 'POST', qs: { hapikey } }); @@key; path /marketing/transactional/2026-09/single-email/send
fetch(`https://api.hubapi.com/automation/v3/workflows?hapikey=${API_KEY}`); @@key; path -
fetch("https://api.hubapi.com/forms/v2/forms"); @@path -
fetch("https://api.hubapi.com/marketing/v3/forms"); @@path -
fetch("https://api.hubapi.com/crm/v3/objects/contacts/1/associations/companies/2/279", { method: 'PUT' }); @@path -
fetch("https://api-eu1.hubapi.com/crm/v3/objects/contacts"); @@path /crm/objects/2026-09/contacts
fetch("https://api.hubspot.com/contacts/v1/contact/vid/1/profile"); @@path /crm/objects/2026-09/contacts/1
fetch("https://app.hubspot.com/contacts/123/contact/1");
fetch("https://hubspot.com/api/v3/pricing");
fetch("https://api.hubapi.com.evil.com/crm/v3/objects/contacts");
fetch("https://js.hs-scripts.com/v3/forms.js");
fetch("https://api.stripe.com/v1/customers");
fetch("https://api.hubapi.com/oauth/2026-09/token");
const help = "Set HUBSPOT_API_KEY in your environment";
console.log("see https://knowledge.hubspot.com/v3/contacts");
if (url.includes('hapikey=')) throw new Error('old');
delete params.hapikey;
const schema = { properties: { hapikey: false } };
it('does not send hapikey', () => {});
assert(!url.includes('hapikey'));
=== api/settings.py
HUBSPOT_API_KEY = env("HUBSPOT_API_KEY") @@key
HUBSPOT = {"api_key": HUBSPOT_API_KEY, "base": "https://api.hubapi.com"} @@key
MAILGUN = {"api_key": "x"}
BASE_URL = "https://api.hubapi.com/contacts/v1" @@path /crm/objects/2026-09/contacts
def f(vid):
    return requests.post(BASE_URL + "/contact/vid/" + str(vid) + "/profile") @@path /crm/objects/2026-09/contacts/{}
def g():
    url = urljoin(API, "/deals/v1/deal/") @@path /crm/objects/2026-09/deals
    params = {
        'hapikey': settings.KEY, @@key
        'count': 100,
    }
    params.pop("hapikey", None)
    params = [("hapikey", key), ("count", 1)] @@key
    params = dict(hapikey=key) @@key
    return session.get(f"{HOST}/crm/v3/objects/{object_type}/{object_id}", params=params) @@path /crm/objects/2026-09/{}/{}
REDACT = ("hapikey", "token")
=== app/Hub.java
import com.hubspot.api.Client;
class Hub {
  static final String API_KEY_PARAM = "hapikey"; @@key
  @GET("/crm/v3/objects/contacts/{id}") Call<Contact> contact(@Path("id") String id); @@path /crm/objects/2026-09/contacts/{}
  @GET("crm/v3/objects/companies") Call<Page> companies(@Query("hapikey") String key); @@key; path /crm/objects/2026-09/companies
  String u = String.format("https://api.hubapi.com/crm/v3/objects/%s/%s?hapikey=%s", type, id, key); @@key; path /crm/objects/2026-09/{}/{}
  UriComponentsBuilder.fromHttpUrl(BASE).path("/crm/v3/objects/tickets").queryParam("hapikey", key); @@key; path /crm/objects/2026-09/tickets
  WebClient.create("https://api.hubapi.com").get().uri("/crm/v3/owners"); @@path /crm/owners/2026-09
  @RequestMapping("/contacts/v1/contact") class Own {}
}
=== hub.c
/* HubSpot */
static const char *URL = "https://api.hubapi.com"
                         "/crm/v3/objects/contacts"; @@path /crm/objects/2026-09/contacts
snprintf(buf, sizeof buf, "https://api.hubapi.com/companies/v2/companies/%d?hapikey=%s", id, key); @@key; path /crm/objects/2026-09/companies/{}
=== hub.cpp
// hubspot
std::string url = base + "/crm/v3/objects/deals/" + std::to_string(id); @@path /crm/objects/2026-09/deals/{}
=== Hub.scala
val u = s"https://api.hubapi.com/crm/v3/objects/contacts/$id" @@path /crm/objects/2026-09/contacts/{}
val q = Seq("hapikey" -> key) @@key
=== hub.dart
final r = await http.get(Uri.parse('https://api.hubapi.com/crm/v3/objects/contacts/${id}?hapikey=$key')); @@key; path /crm/objects/2026-09/contacts/{}
final v = Uri.https('api.hubapi.com', '/crm/v3/owners', {'hapikey': key}); @@key; path /crm/owners/2026-09
=== hub.ps1
$uri = "https://api.hubapi.com/crm/v3/objects/contacts/$($id)?hapikey=$key" @@key; path /crm/objects/2026-09/contacts/{}
Invoke-RestMethod -Method Patch -Uri "$base/crm/v3/objects/deals/$id" @@path /crm/objects/2026-09/deals/{}
=== hub.r
r <- GET("https://api.hubapi.com/contacts/v1/lists", query = list(hapikey = key)) @@key; path /crm/lists/2026-09/search
=== hub.jl
HTTP.get("https://api.hubapi.com/crm/v3/objects/contacts?hapikey=$(key)") @@key; path /crm/objects/2026-09/contacts
=== hub.hs
url = "https://api.hubapi.com/crm/v3/objects/" ++ kind ++ "/" ++ ident @@path /crm/objects/2026-09/{}/{}
=== hub.clj
(client/get (str "https://api.hubapi.com/crm/v3/objects/contacts/" id) {:query-params {:hapikey key}}) @@key; path /crm/objects/2026-09/contacts
=== hub.groovy
def r = new URL("https://api.hubapi.com/crm/v3/objects/contacts/${id}?hapikey=${key}").text @@key; path /crm/objects/2026-09/contacts/{}
=== hub.cls
HttpRequest req = new HttpRequest();
req.setEndpoint('https://api.hubapi.com/contacts/v1/contact/email/' + EncodingUtil.urlEncode(email, 'UTF-8') + '/profile?hapikey=' + key); @@key; path /crm/objects/2026-09/contacts/{}
req.setMethod('POST');
=== code.gs
var r = UrlFetchApp.fetch('https://api.hubapi.com/deals/v1/deal/paged?hapikey=' + API_KEY + '&limit=250'); @@key; path /crm/objects/2026-09/deals
=== page.html
<!-- HubSpot: https://api.hubapi.com/contacts/v1/lists -->
<script>fetch("https://api.hubapi.com/crm/v3/objects/contacts?hapikey=abc")</script> @@key; path /crm/objects/2026-09/contacts
=== main.tf
provider "hubspot" {
  api_key = var.key @@key
}
provider "datadog" {
  api_key = var.datadog
}
=== docker-compose.yml
services:
  sync:
    environment:
      - HUBSPOT_API_KEY=${HUBSPOT_API_KEY} @@key
      - HUBSPOT_ACCESS_TOKEN=${T}
      - DD_API_KEY=x
=== .github/workflows/ci.yml
env:
  HUBSPOT_API_KEY: ${{ secrets.HUBSPOT_API_KEY }} @@key
  NPM_TOKEN: x
steps:
  - uses: actions/checkout@v3
  - run: curl "https://api.hubapi.com/crm/v3/objects/contacts?limit=1" -H "authorization: Bearer $T" @@path /crm/objects/2026-09/contacts
=== openapi.yaml
# the HubSpot side
components:
  securitySchemes:
    key:
      type: apiKey
      in: query
      name: hapikey @@key
paths:
  /crm/v3/objects/contacts/{contactId}: @@path /crm/objects/2026-09/contacts/{}
    get: {}
=== make.json
{"modules":[{"module":"http:ActionSendData","mapper":{"url":"https://api.hubapi.com/crm/v3/objects/contacts/{{1.id}}","method":"patch","qs":[{"name":"hapikey","value":"{{k}}"}]}}]} @@key; path /crm/objects/2026-09/contacts/{}
=== requirements.txt
# HubSpot
hubspot-api-client==3.0.0
hubspot3==3.2 @@client -
=== package.json
{
  "name": "hubspot",
  "dependencies": {
    "@hubspot/api-client": "^9.0.0",
    "hubspot": "^2.3.2" @@client -
  }
}
=== official.ts
const page = await hubspotClient.crm.contacts.basicApi.getPage(10); @@client /crm/objects/2026-09/contacts
const made = await this.client.crm.objects.notes.basicApi.create({ properties }); @@client /crm/objects/2026-09/notes
const hits = await hubspotClient.crm.lineItems.searchApi.doSearch(q); @@client /crm/objects/2026-09/line_items/search
const r = await hubspotClient.apiRequest({ method: 'PATCH', path: `/crm/v3/objects/deals/${id}`, body }); @@path /crm/objects/2026-09/deals/{}
const mine = crm.contacts.repository.getPage(10);
=== official.php
<?php // HubSpot
$r = $hubspot->crm()->contacts()->basicApi()->getById($id); @@client /crm/objects/2026-09/contacts/{}
=== official.py
# HubSpot
r = api_client.crm.companies.batch_api.update(batch) @@client /crm/objects/2026-09/companies/batch/update
=== alias.py
# HubSpot
token = os.environ["HUBSPOT_API_KEY"]
headers = {"Authorization": f"Bearer {token}"}
=== k8s.yaml
apiVersion: v1
kind: Secret
metadata: { name: hubspot }
data:
  HUBSPOT_API_KEY: YWJj @@key
=== test/mock.js
nock('https://api.hubapi.com').get('/crm/v3/objects/contacts').query({ hapikey: 'x' }).reply(200); @@key; path /crm/objects/2026-09/contacts
nock('https://api.intercom.io').get('/contacts/v1/contact').reply(200);
=== zapier.js
const perform = async (z, bundle) => {
  const r = await z.request({ url: 'https://api.hubapi.com/contacts/v1/contact/', method: 'POST', params: { hapikey: bundle.authData.api_key } }); @@key; path /crm/objects/2026-09/contacts
};
=== vendors.js
// several vendors, HubSpot among them
axios.get('https://www.zohoapis.com/crm/v3/Contacts');
axios.get(`${ZENDESK}/api/v2/users.json`);
axios.get('https://api.sendgrid.com/v3/marketing/contacts');
axios.get('https://api.mailchimp.com/3.0/lists');
const cal = '/calendar/v3/calendars/primary';
const kube = '/apis/batch/v1/jobs';
const yt = '/youtube/v3/videos';
const own = fetch('/api/v1/webhooks');
new Stripe({ apiKey: k });
const sg = { sendgrid: { apiKey: k } };
]==]

-- Without their marks, and the marks: "line key", "line path NEW".
local function marked(source)
  local lines, want = {}, {}
  for line in source:gmatch("([^\n]*)\n") do
    local code, marks = line:match("^(.-) @@(.*)$")
    lines[#lines + 1] = code or line
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
    else
      list[#list + 1] = ("%d %s %s"):format(finding.line, finding.kind == "client" and "client" or "path", finding.replacement or "-")
    end
  end
  return list
end

local function each_file() return (CORPUS .. "\0"):gsub("\n===", "\n\0==="):gmatch("=== ([^\n]+)\n(%Z*)") end

describe("the corpus", function()
  for name, content in each_file() do
    it(name, function()
      local source, want = marked(content)
      local found, _, also = scan.file(name, source)
      local list = told(found, also.bearer)
      table.sort(list)
      table.sort(want)
      expect(table.concat(list, "\n")).to.equal(table.concat(want, "\n"))
    end)
  end

  it("every true case is found, with no false alarm", function()
    local cases, hits, alarms, kinds, n = 0, 0, 0, {}, 0
    for name, content in each_file() do
      local source, want = marked(content)
      local found, _, also = scan.file(name, source)
      local open = {}
      for _, case in ipairs(want) do open[case] = (open[case] or 0) + 1 end
      for _, case in ipairs(told(found, also.bearer)) do
        if (open[case] or 0) > 0 then
          open[case] = open[case] - 1
          hits = hits + 1
        else alarms = alarms + 1 end
      end
      cases = cases + #want
      local kind = text.extension(name)
      if not kinds[kind] then
        kinds[kind] = true
        n = n + 1
      end
    end
    print(("%d of %d cases found, %d false alarms, %d kinds of files"):format(hits, cases, alarms, n))
    expect(hits).to.equal(cases)
    expect(alarms).to.equal(0)
    expect(n >= 25).to.be_true()
  end)

  it("what is rewritten is not found again, and nothing else is touched", function()
    local n = 0
    for name, content in each_file() do
      local source = marked(content)
      local found = scan.file(name, source)
      local left = {}
      for _, finding in ipairs(found) do
        if not finding.safe then left[#left + 1] = finding end
      end
      local new, edits = scan.rewrite(source, found)
      n = n + edits
      expect(edits).to.equal(#found - #left)
      local again, _, also = scan.file(name, new)
      expect(table.concat(told(again, also.bearer), "\n")).to.equal(table.concat(told(left, also.bearer), "\n"))
      expect(select(2, new:gsub("\n", ""))).to.equal(select(2, source:gsub("\n", "")))
    end
    expect(n > 40).to.be_true()
  end)
end)

describe("machine-made text", function()
  -- Each would take minutes if anything looked back over the whole line, or at each comment again.
  local shapes = {
    ["one long line"] = '!function(){' .. ('var a=f("https://api.hubapi.com/crm/v3/objects/contacts/"+b+"?hapikey="+c),d=e({apiKey:q});'):rep(150),
    ["quotes that do not end"] = "// hubspot\n" .. ('"/v1'):rep(3000),
    ["comments that do not end"] = "// hubspot hapikey\n" .. ("/* "):rep(20000),
    ["open brackets"] = "{" .. ('"hubspot":{"apiKey":'):rep(500),
    ["a base used often"] = 'const BASE = "https://api.hubapi.com/crm/v3";\n' .. ('BASE + "/objects/x";'):rep(500),
  }
  for name, s in pairs(shapes) do
    it(name, function() scan.file("a.js", s) end) -- a test has a second of work
  end
end)
