-- Made by `make tables` (tests/generate/apis.mjs) out of hubspot/endpoints.tsv and hubspot/openapi/*.json,
-- HubSpot's published operations; do not edit. 432 operations in 37 groups.
-- luacheck: ignore 631
-- A line: name|method|path|versions (empty: all, or none in the path)|query (?: not described, !: required)|body|
-- how bodies and answers are read|summary. stdlib/hubspot/calls.lua reads them.
return { versions = { "2026-03", "2026-09" }, groups = {
account = [[
activity.audit_logs|GET|/account-info/{version}/activity/audit-logs||?||iterates,ids|Retrieve audit logs
activity.login|GET|/account-info/{version}/activity/login||?||iterates,ids|Retrieve login activity
activity.security|GET|/account-info/{version}/activity/security||?||iterates,ids|Retrieve security history
api_usage|GET|/account-info/{version}/api-usage/daily/private-apps|||||Retrieve private app daily API usage
details|GET|/account-info/{version}/details||||ids|Retrieve account details
]],
actions = [[
archive|DELETE|/automation/actions/{version}/{appId}/{definitionId}|||||Delete an action definition
batch_complete|POST|/automation/actions/callbacks/{version}/complete|||json!|sent:actionId+agentId+enrollmentId+portalId+portalIds+userIds+workflowId|Complete a batch of callbacks
complete|POST|/automation/actions/callbacks/{version}/{callbackId}/complete|||json!|sent:actionId+agentId+enrollmentId+portalId+portalIds+userIds+workflowId|Completes a callback
create|POST|/automation/actions/{version}/{appId}|||json!||Create a new custom action definition
functions.archive|DELETE|/automation/actions/{version}/{appId}/{definitionId}/functions/{functionType}/{functionId}|||||Archive a function for a definition
functions.archive_by_type|DELETE|/automation/actions/{version}/{appId}/{definitionId}/functions/{functionType}|||||Delete a function for a definition
functions.get|GET|/automation/actions/{version}/{appId}/{definitionId}/functions/{functionType}/{functionId}|||||Retrieve a function from a given definition
functions.get_by_type|GET|/automation/actions/{version}/{appId}/{definitionId}/functions/{functionType}|||||Retrieve functions by a type for a given definition
functions.list|GET|/automation/actions/{version}/{appId}/{definitionId}/functions||||iterates|Retrieve functions for a given definition
functions.replace|PUT|/automation/actions/{version}/{appId}/{definitionId}/functions/{functionType}/{functionId}|||text!||Update a function for a definition
functions.replace_by_type|PUT|/automation/actions/{version}/{appId}/{definitionId}/functions/{functionType}|||text!||Insert a function for a definition
get|GET|/automation/actions/{version}/{appId}/{definitionId}||archived|||Retrieve a custom action definition
list|GET|/automation/actions/{version}/{appId}||after,archived,limit||iterates|Retrieve custom action definitions
requires_object|GET|/automation/actions/{version}/{appId}/{definitionId}/requires-object|||||Retrieve the object requirement status for a custom action definition
revisions.get|GET|/automation/actions/{version}/{appId}/{definitionId}/revisions/{revisionId}|||||Retrieve a specific revision of a definition
revisions.list|GET|/automation/actions/{version}/{appId}/{definitionId}/revisions||after,limit||iterates|Retrieve revisions for a given definition
set_requires_object|POST|/automation/actions/{version}/{appId}/{definitionId}/requires-object|||json!||Set the object requirement for a custom action definition
update|PATCH|/automation/actions/{version}/{appId}/{definitionId}|||json!||Update an existing action definition
]],
associations = [[
batch_archive|POST|/crm/associations/{version}/{fromObjectType}/{toObjectType}/batch/archive|||json!||BATCH DELETE
batch_archive_labels|POST|/crm/associations/{version}/{fromObjectType}/{toObjectType}/batch/labels/archive|||json!||Delete Specific Labels
batch_create|POST|/crm/associations/{version}/{fromObjectType}/{toObjectType}/batch/create|||json!||Create
batch_create_default|POST|/crm/associations/{version}/{fromObjectType}/{toObjectType}/batch/associate/default|||json!||Create Default Associations
batch_read|POST|/crm/associations/{version}/{fromObjectType}/{toObjectType}/batch/read|||json!||Read
high_usage_report|POST|/crm/associations/{version}/usage/high-usage-report/{userId}||||ids|Report
labels.create|POST|/crm/associations/{version}/{fromObjectType}/{toObjectType}/labels|||json!||Create a label
labels.delete|DELETE|/crm/associations/{version}/{fromObjectType}/{toObjectType}/labels/{associationTypeId}|||||Delete a label
labels.list|GET|/crm/associations/{version}/{fromObjectType}/{toObjectType}/labels||||iterates|Retrieve labels
labels.update|PUT|/crm/associations/{version}/{fromObjectType}/{toObjectType}/labels|||json!||Update an existing label
limits.batch_create|POST|/crm/associations/{version}/definitions/configurations/{fromObjectType}/{toObjectType}/batch/create|||json!||Batch create labels
limits.batch_purge|POST|/crm/associations/{version}/definitions/configurations/{fromObjectType}/{toObjectType}/batch/purge|||json!||Batch delete limits
limits.batch_update|POST|/crm/associations/{version}/definitions/configurations/{fromObjectType}/{toObjectType}/batch/update|||json!||Batch update limits
limits.list|GET|/crm/associations/{version}/definitions/configurations/{fromObjectType}/{toObjectType}||||iterates|Retrieve limits
limits.list_all|GET|/crm/associations/{version}/definitions/configurations/all||||iterates|Retrieve all limits
]],
business_units = [[
list|GET|/business-units/public/{version}/business-units/user/{userId}||?||iterates,ids|Retrieve brands by associated user
]],
calling = [[
inbound_call|POST|/crm/extensions/calling/{version}/inbound-call||?|json|ids|Submit details of an inbound call to the CRM
recording_ready|POST|/crm/extensions/calling/{version}/recordings/ready||?|json|ids|Mark a call recording as ready for retrieval
settings.channel_connection.create|POST|/crm/extensions/calling/{version}/{appId}/settings/channel-connection||?|json|ids|Create new channel connection settings for a specific app
settings.channel_connection.delete|DELETE|/crm/extensions/calling/{version}/{appId}/settings/channel-connection||?||ids|Remove the channel connection settings for a specific app
settings.channel_connection.get|GET|/crm/extensions/calling/{version}/{appId}/settings/channel-connection||?||ids|Retrieve the channel connection settings for a specific app
settings.channel_connection.update|PATCH|/crm/extensions/calling/{version}/{appId}/settings/channel-connection||?|json|ids|Update the channel connection settings for a specific app
settings.create|POST|/crm/extensions/calling/{version}/{appId}/settings||?|json|ids|Create new calling extension settings for a specific app
settings.delete|DELETE|/crm/extensions/calling/{version}/{appId}/settings||?||ids|Delete the calling extension settings for a specific app
settings.get|GET|/crm/extensions/calling/{version}/{appId}/settings||?||ids|Retrieve the calling extension settings for a specific app
settings.recording.create|POST|/crm/extensions/calling/{version}/{appId}/settings/recording||?|json|ids|Create recording settings for an app
settings.recording.get|GET|/crm/extensions/calling/{version}/{appId}/settings/recording||?||ids|Retrieve recording settings for an app
settings.recording.update|PATCH|/crm/extensions/calling/{version}/{appId}/settings/recording||?|json|ids|Update recording settings for an app
settings.update|PATCH|/crm/extensions/calling/{version}/{appId}/settings||?|json|ids|Update the calling extension settings for a specific app
transcripts.create|POST|/crm/extensions/calling/{version}/transcripts||?|json|ids
transcripts.delete|DELETE|/crm/extensions/calling/{version}/transcripts/{transcriptId}||?||ids
transcripts.get|GET|/crm/extensions/calling/{version}/transcripts/{transcriptId}||?||ids
]],
campaigns = [[
archive|DELETE|/marketing/campaigns/{version}/{campaignGuid}|||||Delete campaign
assets.add|PUT|/marketing/campaigns/{version}/{campaignGuid}/assets/{assetType}/{assetId}|||||Add asset association
assets.list|GET|/marketing/campaigns/{version}/{campaignGuid}/assets/{assetType}||after,endDate,limit,startDate||iterates|List assets
assets.remove|DELETE|/marketing/campaigns/{version}/{campaignGuid}/assets/{assetType}/{assetId}|||||Remove asset association
batch_archive|POST|/marketing/campaigns/{version}/batch/archive|||json!||Delete a batch of campaigns
batch_create|POST|/marketing/campaigns/{version}/batch/create|||json!|ids|Create a batch of campaigns
batch_read|POST|/marketing/campaigns/{version}/batch/read||endDate,properties,startDate|json!|ids|Read a batch of campaigns
batch_update|POST|/marketing/campaigns/{version}/batch/update|||json!|ids|Update a batch of campaigns
budget.archive|DELETE|/marketing/campaigns/{version}/{campaignGuid}/budget/{budgetId}|||||Delete budget item
budget.create|POST|/marketing/campaigns/{version}/{campaignGuid}/budget|||json!||Add budget item
budget.get|GET|/marketing/campaigns/{version}/{campaignGuid}/budget/{budgetId}|||||Get budget item
budget.replace|PUT|/marketing/campaigns/{version}/{campaignGuid}/budget/{budgetId}|||json!||Update budget item
budget.totals|GET|/marketing/campaigns/{version}/{campaignGuid}/budget/totals|||||Read budget
create|POST|/marketing/campaigns/{version}|||json!|ids
get|GET|/marketing/campaigns/{version}/{campaignGuid}||endDate,properties,startDate||ids|Read a campaign
list|GET|/marketing/campaigns/{version}||after,limit,name,properties,sort||iterates,ids
reports.contacts|GET|/marketing/campaigns/{version}/{campaignGuid}/reports/contacts/{contactType}||after,endDate,limit,startDate||iterates|Fetch contact IDs
reports.metrics|GET|/marketing/campaigns/{version}/{campaignGuid}/reports/metrics||endDate,startDate|||Get Campaign Metrics
reports.revenue|GET|/marketing/campaigns/{version}/{campaignGuid}/reports/revenue||attributionModel,endDate,startDate|||Fetch revenue
spend.archive|DELETE|/marketing/campaigns/{version}/{campaignGuid}/spend/{spendId}|||||Delete campaign spend item
spend.create|POST|/marketing/campaigns/{version}/{campaignGuid}/spend|||json!||Create campaign spend item
spend.get|GET|/marketing/campaigns/{version}/{campaignGuid}/spend/{spendId}|||||Read campaign spend item
spend.replace|PUT|/marketing/campaigns/{version}/{campaignGuid}/spend/{spendId}|||json!||Update campaign spend item
update|PATCH|/marketing/campaigns/{version}/{campaignGuid}|||json!|ids|Update campaign
]],
conversations = [[
actors.batch_read|POST|/conversations/conversations/{version}/actors/batch/read|2026-09|property|json!||Get a group of actors
actors.get|GET|/conversations/conversations/{version}/actors/{actorId}|2026-09|property|||Get a single actor
channel_accounts.get|GET|/conversations/conversations/{version}/channel-accounts/{channelAccountId}|2026-09|archived|||Get a single channel account
channel_accounts.list|GET|/conversations/conversations/{version}/channel-accounts|2026-09|after,archived,channelId,defaultPageLength,inboxId,limit,sort||iterates|Get channel accounts
channels.get|GET|/conversations/conversations/{version}/channels/{channelId}|2026-09||||Get a single channel
channels.list|GET|/conversations/conversations/{version}/channels|2026-09|after,defaultPageLength,limit,sort||iterates|Get channels
inboxes.get|GET|/conversations/conversations/{version}/inboxes/{inboxId}|2026-09|archived|||Get a single conversations inbox
inboxes.list|GET|/conversations/conversations/{version}/inboxes|2026-09|after,archived,defaultPageLength,limit,sort||iterates|Get conversations inboxes
threads.assign|PUT|/conversations/conversations/{version}/threads/{threadId}/assignee|2026-09||json!
threads.delete|DELETE|/conversations/conversations/{version}/threads/{threadId}|2026-09||||Archives a thread
threads.get|GET|/conversations/conversations/{version}/threads/{threadId}|2026-09|archived,association,property|||Get a single thread
threads.list|GET|/conversations/conversations/{version}/threads|2026-09|after,archived,associatedContactId,associatedTicketId,association,inboxId,latestMessageTimestampAfter,limit,property,sort,threadStatus||iterates|Get threads
threads.messages.get|GET|/conversations/conversations/{version}/threads/{threadId}/messages/{messageId}|2026-09|property||ids|Get a single message
threads.messages.list|GET|/conversations/conversations/{version}/threads/{threadId}/messages|2026-09|after,archived,limit,property,sort||iterates,ids|Get message history for a thread
threads.messages.original_content|GET|/conversations/conversations/{version}/threads/{threadId}/messages/{messageId}/original-content|2026-09|property|||Get the original content of a single message
threads.messages.send|POST|/conversations/conversations/{version}/threads/{threadId}/messages|2026-09||json!|ids|Send a message to a thread
threads.unassign|DELETE|/conversations/conversations/{version}/threads/{threadId}/assignee|2026-09
threads.update|PATCH|/conversations/conversations/{version}/threads/{threadId}|2026-09|archived|json!||Update a thread
]],
custom_channels = [[
channel_accounts.create|POST|/conversations/custom-channels/{version}/{channelId}/channel-accounts||?|json|ids|Create a channel account
channel_accounts.get|GET|/conversations/custom-channels/{version}/{channelId}/channel-accounts/{channelAccountId}||?||ids|Get a channel account by id
channel_accounts.list|GET|/conversations/custom-channels/{version}/{channelId}/channel-accounts||?||iterates,ids|Get accounts for a channel
channel_accounts.update|PATCH|/conversations/custom-channels/{version}/{channelId}/channel-accounts/{channelAccountId}||?|json|ids|Update a channel account
create|POST|/conversations/custom-channels/{version}||?|json|ids
delete|DELETE|/conversations/custom-channels/{version}/{channelId}||?||ids|Archive a custom channel
get|GET|/conversations/custom-channels/{version}/{channelId}||?||ids|Get a custom channel
list|GET|/conversations/custom-channels/{version}||?||iterates,ids
messages.get|GET|/conversations/custom-channels/{version}/{channelId}/messages/{messageId}||?||ids|Get a message
messages.send|POST|/conversations/custom-channels/{version}/{channelId}/messages||?|json|ids|Publish a message
messages.update|PATCH|/conversations/custom-channels/{version}/{channelId}/messages/{messageId}||?|json|ids|Update a message
update|PATCH|/conversations/custom-channels/{version}/{channelId}||?|json|ids|Update a custom channel
update_staging_token|PATCH|/conversations/custom-channels/{version}/{channelId}/channel-account-staging-tokens/{accountToken}||?|json|ids|Update a channel account staging token
]],
data_studio = [[
create|POST|/data-studio/data-source/{version}|2026-09|?|json|ids
create|POST|/data-studio/{version}/data-source|2026-03|?|json|ids
delete|DELETE|/data-studio/data-source/{version}/{datasourceId}|2026-09|?||ids
delete|DELETE|/data-studio/{version}/data-source/{datasourceId}|2026-03|?||ids
get|GET|/data-studio/data-source/{version}/{datasourceId}|2026-09|?||ids
get|GET|/data-studio/{version}/data-source/{datasourceId}|2026-03|?||ids
replace|PUT|/data-studio/data-source/{version}/{datasourceId}|2026-09|?|json|ids
replace|PUT|/data-studio/{version}/data-source/{datasourceId}|2026-03|?|json|ids
]],
deal_splits = [[
batch_read|POST|/deal-splits/{version}/batch/read||?|json|ids|Read a batch of deal split objects by their associated deal object …
batch_upsert|POST|/deal-splits/{version}/batch/upsert||?|json|ids|Create or replace deal splits for deals with the provided IDs. Deal …
]],
events = [[
batch_send|POST|/events/custom/{version}/send/batch|2026-09||json!
batch_send|POST|/events/{version}/send/batch|2026-03||json!||Send a batch of event occurrences
definitions.create|POST|/events/custom/{version}/event-definitions|2026-09||json!|ids
definitions.create|POST|/events/{version}/event-definitions|2026-03||json!|ids|Create custom event definition
definitions.delete|DELETE|/events/custom/{version}/event-definitions/{eventName}|2026-09
definitions.delete|DELETE|/events/{version}/event-definitions/{eventName}|2026-03||||Delete an event definition
definitions.get|GET|/events/custom/{version}/event-definitions/{eventName}|2026-09|||ids
definitions.get|GET|/events/{version}/event-definitions/{eventName}|2026-03|||ids|Retrieve a custom event definition
definitions.list|GET|/events/custom/{version}/event-definitions|2026-09|after,includeProperties,limit,searchString,sortOrder||iterates,ids
definitions.list|GET|/events/{version}/event-definitions|2026-03|after,includeProperties,limit,searchString,sortOrder||iterates,ids|Retrieve event definitions
definitions.properties.create|POST|/events/custom/{version}/event-definitions/{eventName}/property|2026-09||json!
definitions.properties.create|POST|/events/{version}/event-definitions/{eventName}/property|2026-03||json!||Create a property for an event definition
definitions.properties.delete|DELETE|/events/custom/{version}/event-definitions/{eventName}/property/{propertyName}|2026-09
definitions.properties.delete|DELETE|/events/{version}/event-definitions/{eventName}/property/{propertyName}|2026-03||||Delete a property from a custom event definition
definitions.properties.update|PATCH|/events/custom/{version}/event-definitions/{eventName}/property/{propertyName}|2026-09||json!
definitions.properties.update|PATCH|/events/{version}/event-definitions/{eventName}/property/{propertyName}|2026-03||json!||Update an existing custom event property
definitions.update|PATCH|/events/custom/{version}/event-definitions/{eventName}|2026-09||json!|ids
definitions.update|PATCH|/events/{version}/event-definitions/{eventName}|2026-03||json!|ids|Update a custom event definition
list|GET|/events/event-occurrences/{version}||after,before,eventType,id,limit,objectId,objectProperty.{propname},objectType,occurredAfter,occurredBefore,properties,property.{propname},sort||iterates
send|POST|/events/custom/{version}/send|2026-09||json!
send|POST|/events/{version}/send|2026-03||json!||Send a custom event occurrence
types|GET|/events/event-occurrences/{version}/event-types|||||Retrieve event types
]],
exports = [[
create|POST|/crm/exports/{version}/export/async||?|json|ids|Start an export
get|GET|/crm/exports/{version}/export/{exportId}||?||ids|Retrieve details of a specific export by its unique ID
status|GET|/crm/exports/{version}/export/async/tasks/{taskId}/status||?||ids|Get the status of the export including the URL to download the file
]],
files = [[
delete|DELETE|/files/{version}/files/{fileId}|2026-03|?||ids|Delete file by ID
folders.create|POST|/files/{version}/folders|2026-03|?|json|ids|Create folder
folders.delete|DELETE|/files/{version}/folders/{folderId}|2026-03|?||ids|Delete folder by ID
folders.delete_by_path|DELETE|/files/{version}/folders/{folderPath}|2026-03|?||ids|Delete folder by path
folders.get|GET|/files/{version}/folders/{folderId}|2026-03|?||ids|Retrieve folder by ID
folders.get_by_path|GET|/files/{version}/folders/{folderPath}|2026-03|?||ids|Retrieve folder by path
folders.search|GET|/files/{version}/folders/search||?||iterates,ids|Search folders
folders.update|PATCH|/files/{version}/folders/{folderId}||?|json|ids|Update folder properties by folder ID
folders.update_async|POST|/files/{version}/folders/update/async||?|json|ids|Update folder properties
folders.update_status|GET|/files/{version}/folders/update/async/tasks/{taskId}/status||?||ids|Check folder update status
gdpr_delete|DELETE|/files/{version}/files/{fileId}/gdpr-delete|2026-03|?||ids|GDPR-delete file
get|GET|/files/{version}/files/{fileId}|2026-03|?||ids|Retrieve file by ID
get_by_path|GET|/files/{version}/files/stat/{path}|2026-03|?||ids|Retrieve file by path
import_from_url|POST|/files/{version}/files/import-from-url/async||?|json|ids|Import file from URL
import_status|GET|/files/{version}/files/import-from-url/async/tasks/{taskId}/status||?||ids|Check import status
replace|PUT|/files/{version}/files/{fileId}|2026-03|?|multipart!|ids|Replace file
search|GET|/files/{version}/files/search||?||iterates,ids|Search files
signed_url|GET|/files/{version}/files/{fileId}/signed-url|2026-03|?||ids|Get signed URL to access private file
update|PATCH|/files/{version}/files/{fileId}|2026-03|?|json|ids|Update file properties
upload|POST|/files/{version}/files|2026-03|?|multipart!|ids|Upload file
]],
flows = [[
batch_read|POST|/automation/v4/flows/batch/read|||json!|ids|Retrieve workflows
batch_read_id_mappings|POST|/automation/v4/workflow-id-mappings/batch/read|||json!|ids|Retrieve workflow ID mappings
create|POST|/automation/v4/flows|||json!|ids,sent:appId+datasetId+suppressionListIds|Create a workflow
delete|DELETE|/automation/v4/flows/{flowId}|||||Delete a workflow
email_campaigns|GET|/automation/v4/flows/email-campaigns||after,before,flowId,limit||iterates|Retrieve workflow email campaigns
enroll|POST|/automation/v2/workflows/{workflowId}/enrollments/contacts/{email}|||||Enroll a contact in a workflow, by its legacy id
get|GET|/automation/v4/flows/{flowId}||||ids|Retrieve a workflow
list|GET|/automation/v4/flows||after,limit||iterates|Retrieve workflows
performance|GET|/automation/v4/flows/performance/{flowId}||?||ids
unenroll|DELETE|/automation/v2/workflows/{workflowId}/enrollments/contacts/{email}|||||Take a contact out of a workflow, by its legacy id
update|PUT|/automation/v4/flows/{flowId}|||json!|ids,sent:appId+datasetId+suppressionListIds|Update a workflow
]],
forecast_types = [[
get|GET|/forecast-settings/{version}/forecast-types/{forecastTypeId}|2026-09|?||ids
list|GET|/forecast-settings/{version}/forecast-types|2026-09|?||iterates,ids
]],
forms = [[
archive|DELETE|/marketing/v3/forms/{formId}|||||Archive a form definition
create|POST|/marketing/v3/forms|||json!
get|GET|/marketing/v3/forms/{formId}||archived|||Get a form definition
list|GET|/marketing/v3/forms||after,archived,formTypes,limit||iterates
replace|PUT|/marketing/v3/forms/{formId}|||json!||Update a form definition
submissions|GET|/form-integrations/v1/submissions/forms/{formId}||after,limit||iterates|Submissions of a form, newest first
update|PATCH|/marketing/v3/forms/{formId}|||json!||Partially update a form definition
]],
imports = [[
cancel|POST|/crm/imports/{version}/{importId}/cancel|||||Cancel an active import
create|POST|/crm/imports/{version}|||multipart|ids
errors|GET|/crm/imports/{version}/{importId}/errors||after,includeErrorMessage,includeRowData,limit||iterates,ids|Retrieve errors for a specific import
get|GET|/crm/imports/{version}/{importId}||||ids|Get the information on any import
list|GET|/crm/imports/{version}||after,limit||iterates,ids
]],
limits = [[
association_labels|GET|/crm/limits/{version}/associations/labels||fromObjectTypeId,toObjectTypeId|||Read association label limits
association_records|GET|/crm/limits/{version}/associations/records/{fromObjectTypeId}/{toObjectTypeId}||||ids|Read record association limits between two objects
association_records_from|GET|/crm/limits/{version}/associations/records/from|||||Read record association limits
association_records_to|GET|/crm/limits/{version}/associations/records/{fromObjectTypeId}/to|||||Read record association limits from an object
calculated_properties|GET|/crm/limits/{version}/calculated-properties|||||Read calculation property limits
custom_object_types|GET|/crm/limits/{version}/custom-object-types|||||Read custom object limits
custom_properties|GET|/crm/limits/{version}/custom-properties|||||Read custom property limits
pipelines|GET|/crm/limits/{version}/pipelines|||||Read pipeline limits
records|GET|/crm/limits/{version}/records|||||Read record limits
]],
lists = [[
batch_id_mapping|POST|/crm/lists/{version}/idmapping|||array!||Translate Legacy List Id to Modern List Id in Batch
batch_read|GET|/crm/lists/{version}||includeFilters,listIds||ids
conversion.cancel|DELETE|/crm/lists/{version}/{listId}/schedule-conversion|||||Cancel the conversion of a list
conversion.get|GET|/crm/lists/{version}/{listId}/schedule-conversion|||||Retrieve the conversion details for a list
conversion.schedule|PUT|/crm/lists/{version}/{listId}/schedule-conversion|||json!||Schedule or update the conversion of a list to static
create|POST|/crm/lists/{version}|||json!|ids,sent:listFolderId+membershipTeamId
delete|DELETE|/crm/lists/{version}/{listId}|||||Delete a List
folders.create|POST|/crm/lists/{version}/folders|||json!|ids|Creates a folder
folders.delete|DELETE|/crm/lists/{version}/folders/{folderId}|||||Deletes a folder
folders.get|GET|/crm/lists/{version}/folders||folderId||ids|Retrieves a folder
folders.move|PUT|/crm/lists/{version}/folders/{folderId}/move/{newParentFolderId}||||ids|Moves a folder
folders.move_list|PUT|/crm/lists/{version}/folders/move-list|||json!||Moves a list to a given folder
folders.rename|PUT|/crm/lists/{version}/folders/{folderId}/rename||newFolderName||ids|Rename a folder
get|GET|/crm/lists/{version}/{listId}||includeFilters||ids|Fetch List by ID
get_by_name|GET|/crm/lists/{version}/object-type-id/{objectTypeId}/name/{listName}||includeFilters||ids|Fetch List by Name
id_mapping|GET|/crm/lists/{version}/idmapping||legacyListId|||Translate Legacy List Id to Modern List Id
memberships.add|PUT|/crm/lists/{version}/{listId}/memberships/add|||array!||Add Records to a List
memberships.add_and_remove|PUT|/crm/lists/{version}/{listId}/memberships/add-and-remove|||json!||Add and/or Remove Records from a List
memberships.add_from|PUT|/crm/lists/{version}/{listId}/memberships/add-from/{sourceListId}|||||Add All Records from a Source List to a Destination List
memberships.batch_of_records|POST|/crm/lists/{version}/records/memberships/batch/read|||json!
memberships.list|GET|/crm/lists/{version}/{listId}/memberships||after,before,limit||iterates|Fetch List Memberships Ordered by ID
memberships.list_by_join_order|GET|/crm/lists/{version}/{listId}/memberships/join-order||after,before,limit||iterates|Fetch List Memberships Ordered by Added to List Date
memberships.of_record|GET|/crm/lists/{version}/records/{objectTypeId}/{recordId}/memberships||||iterates|Get lists record is member of
memberships.remove.replace|PUT|/crm/lists/{version}/{listId}/memberships/remove|||array!||Remove Records from a List
memberships.remove_all|DELETE|/crm/lists/{version}/{listId}/memberships|||||Delete All Records from a List
restore|PUT|/crm/lists/{version}/{listId}/restore|||||Restore a List
search|POST|/crm/lists/{version}/search|||json!|offset|Search Lists
size_history|GET|/crm/lists/{version}/{listId}/size-and-edits-history/between|2026-03|?||ids
update_filters|PUT|/crm/lists/{version}/{listId}/update-list-filters||enrollObjectsInWorkflows|json!|ids|Update List Filter Definition
update_name|PUT|/crm/lists/{version}/{listId}/update-list-name||includeFilters,listName||ids|Update List Name
]],
marketing_emails = [[
archive|DELETE|/marketing/emails/{version}/{emailId}||archived|||Delete a marketing email
clone|POST|/marketing/emails/{version}/clone|||json!|ids|Clone a marketing email
create|POST|/marketing/emails/{version}|||json!|ids,sent:businessUnitId
create_ab_variation|POST|/marketing/emails/{version}/ab-test/create-variation|||json!|ids|Create an A/B test variation of a marketing email
draft.get|GET|/marketing/emails/{version}/{emailId}/draft||||ids|Get draft version of a marketing email
draft.reset|POST|/marketing/emails/{version}/{emailId}/draft/reset|||||Reset the draft version
draft.update|PATCH|/marketing/emails/{version}/{emailId}/draft|||json!|ids,sent:businessUnitId|Create or update draft version
get|GET|/marketing/emails/{version}/{emailId}||archived,includedProperties,includeStats,marketingCampaignNames,variantStats,workflowNames||ids|Get the details of a specified marketing email
get_ab_variation|GET|/marketing/emails/{version}/{emailId}/ab-test/get-variation||archived,includedProperties,includeStats,marketingCampaignNames,variantStats,workflowNames||ids|Get the variation of a an A/B marketing email
list|GET|/marketing/emails/{version}||after,archived,campaign,createdAfter,createdAt,createdBefore,includedProperties,includeStats,isPublished,limit,marketingCampaignNames,publishedAfter,publishedAt,publishedBefore,sort,type,updatedAfter,updatedAt,updatedBefore,variantStats,workflowNames||iterates,ids
publish|POST|/marketing/emails/{version}/{emailId}/publish|||||Publish or send a marketing email
revisions.get|GET|/marketing/emails/{version}/{emailId}/revisions/{revisionId}||||ids|Get a revision of a marketing email
revisions.list|GET|/marketing/emails/{version}/{emailId}/revisions||after,before,limit||iterates,ids|Get revisions of a marketing email
revisions.restore|POST|/marketing/emails/{version}/{emailId}/revisions/{revisionId}/restore|||||Restore a revision of a marketing email
revisions.restore_to_draft|POST|/marketing/emails/{version}/{emailId}/revisions/{revisionId}/restore-to-draft||||ids|Restore a revision of a marketing email to DRAFT state
single_send|POST|/marketing/email-campaigns/{version}/single-send|2026-03|?|json|ids|Send an email
statistics|GET|/marketing/emails/{version}/statistics/list||emailIds,endTimestamp,property,startTimestamp|||Get aggregated statistics
statistics_histogram|GET|/marketing/emails/{version}/statistics/histogram||emailIds,endTimestamp,interval,startTimestamp|||Get aggregated statistic intervals
unpublish|POST|/marketing/emails/{version}/{emailId}/unpublish|||||Unpublish or cancel a marketing email
update|PATCH|/marketing/emails/{version}/{emailId}||archived|json!|ids,sent:businessUnitId|Update a marketing email
]],
marketing_events = [[
attendance.record|POST|/marketing/marketing-events/{version}/{objectId}/attendance/{subscriberState}/create|||json!||Record Participants by ContactId with Marketing Event Object Id
attendance.record_by_external_id|POST|/marketing/marketing-events/{version}/attendance/{externalEventId}/{subscriberState}/create||externalAccountId|json!||Record Participants by ContactId with Marketing Event External Ids
attendance.record_emails|POST|/marketing/marketing-events/{version}/{objectId}/attendance/{subscriberState}/email-create|||json!||Record Participants by Email with Marketing Event Object Id
attendance.record_emails_by_external_id|POST|/marketing/marketing-events/{version}/attendance/{externalEventId}/{subscriberState}/email-create||externalAccountId|json!||Record Participants by Email with Marketing Event External Ids
batch_archive|POST|/marketing/marketing-events/{version}/batch/archive|||json!||Delete Multiple Marketing Events by ObjectId
batch_delete_by_external_id|POST|/marketing/marketing-events/{version}/events/delete|||json!|sent:appId|Delete Multiple Marketing Events by External Ids
batch_update|POST|/marketing/marketing-events/{version}/batch/update|||json!|sent:updatedByUserId|Update Multiple Marketing Events by ObjectId
batch_upsert|POST|/marketing/marketing-events/{version}/events/upsert|||json!|ids,sent:updatedByUserId|Create or Update Multiple Marketing Events
cancel|POST|/marketing/marketing-events/{version}/events/{externalEventId}/cancel||externalAccountId!||ids|Mark a marketing event as cancelled
complete|POST|/marketing/marketing-events/{version}/events/{externalEventId}/complete||externalAccountId!|json!|ids|Mark a marketing event as completed
create|POST|/marketing/marketing-events/{version}/events|||json!|ids,sent:updatedByUserId|Create a marketing event
delete|DELETE|/marketing/marketing-events/{version}/{objectId}|||||Delete Marketing Event by objectId
delete_by_external_id|DELETE|/marketing/marketing-events/{version}/events/{externalEventId}||externalAccountId!|||Delete Marketing Event by External Ids
get|GET|/marketing/marketing-events/{version}/{objectId}|||||Get Marketing Event by objectId
get_by_external_id|GET|/marketing/marketing-events/{version}/events/{externalEventId}||externalAccountId!||ids|Get Marketing Event by External IDs
identifiers|GET|/marketing/marketing-events/{version}/{externalEventId}/identifiers||||iterates|Find Marketing Events by External Event Id
list|GET|/marketing/marketing-events/{version}||after,limit||iterates
lists.add|PUT|/marketing/marketing-events/{version}/associations/{marketingEventId}/lists/{listId}|||||Associate a list with a marketing event
lists.add_by_external_id|PUT|/marketing/marketing-events/{version}/associations/{externalAccountId}/{externalEventId}/lists/{listId}|||||Associate a list with a marketing event
lists.list|GET|/marketing/marketing-events/{version}/associations/{marketingEventId}/lists||||iterates|Get lists associated with a marketing event
lists.list_by_external_id|GET|/marketing/marketing-events/{version}/associations/{externalAccountId}/{externalEventId}/lists||||iterates|Get lists associated with a marketing event
lists.remove|DELETE|/marketing/marketing-events/{version}/associations/{marketingEventId}/lists/{listId}|||||Disassociate a list from a marketing event
lists.remove_by_external_id|DELETE|/marketing/marketing-events/{version}/associations/{externalAccountId}/{externalEventId}/lists/{listId}|||||Disassociate a list from a marketing event
participations.count|GET|/marketing/marketing-events/{version}/participations/{marketingEventId}|||||Read participations counters by Marketing Event internal identifier
participations.count_by_external_id|GET|/marketing/marketing-events/{version}/participations/{externalAccountId}/{externalEventId}|||||Read participations counters by Marketing Event external identifier
participations.list|GET|/marketing/marketing-events/{version}/participations/{marketingEventId}/breakdown||after,contactIdentifier,limit,state||iterates|Read participations breakdown by Marketing Event internal identifier
participations.list_by_external_id|GET|/marketing/marketing-events/{version}/participations/{externalAccountId}/{externalEventId}/breakdown||after,contactIdentifier,limit,state||iterates|Read participations breakdown by Marketing Event external identifier
participations.of_contact|GET|/marketing/marketing-events/{version}/participations/contacts/{contactIdentifier}/breakdown||after,limit,state||iterates|Read participations breakdown by Contact identifier
search|GET|/marketing/marketing-events/{version}/events/search||q!||iterates,ids|Find App-Specific Marketing Events by External Event Id
settings.get|GET|/marketing/marketing-events/{version}/{appId}/settings||||ids|Retrieve the application settings
settings.update|POST|/marketing/marketing-events/{version}/{appId}/settings|||json!|ids|Update the application settings
update|PATCH|/marketing/marketing-events/{version}/{objectId}|||json!|sent:updatedByUserId|Update Marketing Event by objectId
update_by_external_id|PATCH|/marketing/marketing-events/{version}/events/{externalEventId}||externalAccountId!|json!|ids,sent:updatedByUserId|Update Marketing Event by External IDs
upsert|PUT|/marketing/marketing-events/{version}/events/{externalEventId}|||json!|ids,sent:updatedByUserId|Create or update a marketing event
upsert_subscriber_emails|POST|/marketing/marketing-events/{version}/events/{externalEventId}/{subscriberState}/email-upsert||externalAccountId!|json!||Record a subscriber state by contact email
upsert_subscribers|POST|/marketing/marketing-events/{version}/events/{externalEventId}/{subscriberState}/upsert||externalAccountId!|json!||Record a subscriber state by contact ID
]],
object_library = [[
enabled|GET|/crm/object-library/{version}/enablement/{objectTypeId}||?||ids|Get object activation status
enablement|GET|/crm/object-library/{version}/enablement||?||ids|Get object activation statuses
]],
owners = [[
get|GET|/crm/owners/{version}/{ownerId}||archived,idProperty||ids|Retrieve a specific owner by ID
list|GET|/crm/owners/{version}||after,archived,email,limit||iterates,ids
]],
payments_subscriptions = [[
cancel|POST|/payments-subscriptions/v1/subscriptions/crm/{objectId}/cancel||?|json|ids|Cancel a subscription
pause|POST|/payments-subscriptions/v1/subscriptions/crm/{objectId}/pause||?|json|ids|Pause a subscription
unpause|POST|/payments-subscriptions/v1/subscriptions/crm/{objectId}/unpause||?|json|ids|Unpause a subscription
]],
pipelines = [[
archive|DELETE|/crm/pipelines/{version}/{objectType}/{pipelineId}||validateDealStageUsagesBeforeDelete,validateReferencesBeforeDelete|||Delete a pipeline
audit|GET|/crm/pipelines/{version}/{objectType}/{pipelineId}/audit||||ids|Return an audit of all changes to the pipeline
create|POST|/crm/pipelines/{version}/{objectType}|||json!||Create a pipeline
get|GET|/crm/pipelines/{version}/{objectType}/{pipelineId}|||||Return a pipeline by ID
list|GET|/crm/pipelines/{version}/{objectType}||||iterates|Retrieve all pipelines
replace|PUT|/crm/pipelines/{version}/{objectType}/{pipelineId}||validateDealStageUsagesBeforeDelete,validateReferencesBeforeDelete|json!||Replace a pipeline
stages.archive|DELETE|/crm/pipelines/{version}/{objectType}/{pipelineId}/stages/{stageId}|||||Delete a pipeline stage
stages.audit|GET|/crm/pipelines/{version}/{objectType}/{pipelineId}/stages/{stageId}/audit||||ids|Retrieve a reverse chronological list of all changes made to a specific …
stages.create|POST|/crm/pipelines/{version}/{objectType}/{pipelineId}/stages|||json!||Create a pipeline stage
stages.get|GET|/crm/pipelines/{version}/{objectType}/{pipelineId}/stages/{stageId}|||||Return a pipeline stage by ID
stages.list|GET|/crm/pipelines/{version}/{objectType}/{pipelineId}/stages||||iterates|Return all stages of a pipeline
stages.replace|PUT|/crm/pipelines/{version}/{objectType}/{pipelineId}/stages/{stageId}|||json!||Replace a pipeline stage
stages.update|PATCH|/crm/pipelines/{version}/{objectType}/{pipelineId}/stages/{stageId}|||json!||Update specific properties of an existing pipeline stage
update|PATCH|/crm/pipelines/{version}/{objectType}/{pipelineId}||validateDealStageUsagesBeforeDelete,validateReferencesBeforeDelete|json!||Perform a partial update of the pipeline identified by pipelineId
]],
properties = [[
archive|DELETE|/crm/properties/{version}/{objectType}/{propertyName}|||||Archive a property
batch_archive|POST|/crm/properties/{version}/{objectType}/batch/archive|||json!||Archive a batch of properties
batch_create|POST|/crm/properties/{version}/{objectType}/batch/create|||json!||Create a batch of properties
batch_read|POST|/crm/properties/{version}/{objectType}/batch/read||locale|json!||Read a batch of properties
create|POST|/crm/properties/{version}/{objectType}|||json!||Create a property
get|GET|/crm/properties/{version}/{objectType}/{propertyName}||archived,dataSensitivity,locale,properties|||Read a property
groups.archive|DELETE|/crm/properties/{version}/{objectType}/groups/{groupName}|||||Archive a property group
groups.create|POST|/crm/properties/{version}/{objectType}/groups|||json!||Create a property group
groups.get|GET|/crm/properties/{version}/{objectType}/groups/{groupName}||locale|||Read a property group
groups.list|GET|/crm/properties/{version}/{objectType}/groups||locale||iterates|Read all property groups
groups.update|PATCH|/crm/properties/{version}/{objectType}/groups/{groupName}|||json!||Update a property group
list|GET|/crm/properties/{version}/{objectType}||archived,dataSensitivity,locale,properties||iterates|Read all properties
update|PATCH|/crm/properties/{version}/{objectType}/{propertyName}|||json!||Update a property
validations.get|GET|/crm/property-validations/{version}/{objectTypeId}/{propertyName}/rule-type/{ruleType}||?||ids|Retrieve a validation rule for a specific property and rule type …
validations.list|GET|/crm/property-validations/{version}/{objectTypeId}||?||iterates,ids|Read all property validation rules for an object
validations.of_property|GET|/crm/property-validations/{version}/{objectTypeId}/{propertyName}||?||ids|Read validation rules for a property
validations.replace|PUT|/crm/property-validations/{version}/{objectTypeId}/{propertyName}/rule-type/{ruleType}||?|json|ids|Update a validation rule for a specific property and rule type …
]],
scheduler = [[
create_meeting|POST|/scheduler/{version}/meetings/calendar||?|json|ids|Create meeting
meeting_links.availability|GET|/scheduler/{version}/meetings/meeting-links/book/availability-page/{slug}||?||ids|Retrieve availability
meeting_links.book|POST|/scheduler/{version}/meetings/meeting-links/book||?|json|ids|Book Meeting
meeting_links.get|GET|/scheduler/{version}/meetings/meeting-links/book/{slug}||?||ids|Retrieve booking info
meeting_links.list|GET|/scheduler/{version}/meetings/meeting-links||?||iterates,ids|List Meeting Links
]],
schemas = [[
archive|DELETE|/crm-object-schemas/{version}/schemas/{objectType}||archived|||Delete the schema of a specified custom object
associations.archive|DELETE|/crm-object-schemas/{version}/schemas/{objectType}/associations/{associationIdentifier}|||||Delete an existing association for a specified object type
associations.create|POST|/crm-object-schemas/{version}/schemas/{objectType}/associations|||json!||Create an association for a specified object type
batch_read|POST|/crm-object-schemas/{version}/schemas/batch/read|||json!|ids|Retrieve multiple custom object schemas in a batch request
create|POST|/crm-object-schemas/{version}/schemas|||json!|ids|Create a new custom object schema
get|GET|/crm-object-schemas/{version}/schemas/{objectType}||includeAssociationDefinitions,includeAuditMetadata,includePropertyDefinitions||ids|Retrieve the schema of a specified custom object
list|GET|/crm-object-schemas/{version}/schemas||archived,includeAssociationDefinitions,includeAuditMetadata,includePropertyDefinitions||iterates,ids|Retrieve all custom object schemas
update|PATCH|/crm-object-schemas/{version}/schemas/{objectType}|||json!|ids|Update the schema of a specified custom object
]],
sequences = [[
enroll|POST|/automation/sequences/{version}/enrollments||userId!|json!||Enroll a contact in a sequence
enrollment|GET|/automation/sequences/{version}/enrollments/contact/{contactId}|||||Retrieve the enrollment status of a contact
get|GET|/automation/sequences/{version}/{sequenceId}||userId!||ids|Retrieve details for a sequence
list|GET|/automation/sequences/{version}||userId!,after,limit,name||iterates
]],
settings = [[
currencies.add_central|POST|/settings/currencies/{version}/central-fx-rates/add-currency||?|json|ids|Add a new currency with central exchange rates
currencies.central_rates|GET|/settings/currencies/{version}/central-fx-rates/information||?||ids|Retrieve information about the central exchange rates feature
currencies.codes|GET|/settings/currencies/{version}/codes||?||ids|Get all currency codes
currencies.company|GET|/settings/currencies/{version}/company-currency||?||ids|Get the company currency
currencies.exchange_rates.batch_create|POST|/settings/currencies/{version}/exchange-rates/batch/create||?|json|ids|Create multiple exchange rates
currencies.exchange_rates.batch_read|POST|/settings/currencies/{version}/exchange-rates/batch/read||?|json|ids|Retrieve multiple rates
currencies.exchange_rates.batch_update|POST|/settings/currencies/{version}/exchange-rates/batch/update||?|json|ids|Update multiple exchange rates
currencies.exchange_rates.create|POST|/settings/currencies/{version}/exchange-rates||?|json|ids|Add a new exchange rate
currencies.exchange_rates.current|GET|/settings/currencies/{version}/exchange-rates/current||?||ids|Get all current exchange rates
currencies.exchange_rates.get|GET|/settings/currencies/{version}/exchange-rates/{exchangeRateId}||?||ids|Get the details for a specific exchange rate
currencies.exchange_rates.list|GET|/settings/currencies/{version}/exchange-rates||?||iterates,ids|Get exchange rates
currencies.exchange_rates.update|PATCH|/settings/currencies/{version}/exchange-rates/{exchangeRateId}||?|json|ids|Update a conversion rate
currencies.exchange_rates.update_visibility|POST|/settings/currencies/{version}/exchange-rates/update-visibility||?|json|ids|Change the visibility of a specific currency pairs
currencies.set_company|PUT|/settings/currencies/{version}/company-currency||?|json|ids|Set or update the company currency
currencies.unsupported|GET|/settings/currencies/{version}/central-fx-rates/unsupported-currencies||?||ids|Retrieve currencies not supported by central exchange rates
users.create|POST|/settings/users/{version}|2026-03||json!
users.delete|DELETE|/settings/users/{version}/{userId}|2026-03|idProperty|||Removes a user
users.get|GET|/settings/users/{version}/{userId}|2026-03|idProperty|||Retrieves a user
users.list|GET|/settings/users/{version}|2026-03|after,limit||iterates
users.replace|PUT|/settings/users/{version}/{userId}|2026-03|idProperty|json!||Modifies a user
users.roles|GET|/settings/users/{version}/roles|2026-03||||Retrieves the roles on an account
users.teams|GET|/settings/users/{version}/teams|2026-03||||See details about this account's teams
]],
single_send = [[
send|POST|/marketing/transactional/{version}/single-email/send|||json!|sent:emailId|Send a single send transactional email asynchronously
smtp_tokens.create|POST|/marketing/transactional/{version}/smtp-tokens|2026-03|?|json|ids|Create a SMTP API token
smtp_tokens.delete|DELETE|/marketing/transactional/{version}/smtp-tokens/{tokenId}|2026-03|?||ids|Delete a single token by ID
smtp_tokens.get|GET|/marketing/transactional/{version}/smtp-tokens/{tokenId}|2026-03|?||ids|Query a single token by ID
smtp_tokens.list|GET|/marketing/transactional/{version}/smtp-tokens|2026-03|?||iterates,ids|Query SMTP API tokens by campaign name or an emailCampaignId
smtp_tokens.reset_password|POST|/marketing/transactional/{version}/smtp-tokens/{tokenId}/password-reset|2026-03|?|json|ids|Reset the password of an existing token
]],
subscriptions = [[
definitions|GET|/communication-preferences/{version}/definitions||businessUnitId,includeTranslations||ids|Retrieve all subscription status definitions
generate_link|POST|/communication-preferences/{version}/links/generate||channel!,businessUnitId|json!|sent:subscriptionId|Generate subscription links
resubscribe|POST|/communication-preferences/{version}/resubscribe|2026-09||json!|ids
status|GET|/communication-preferences/{version}/status/email/{emailAddress}|2026-09|||ids
statuses.batch_read|POST|/communication-preferences/{version}/statuses/batch/read||channel!,businessUnitId|json!|ids|Batch retrieve subscription statuses
statuses.batch_unsubscribe_all|POST|/communication-preferences/{version}/statuses/batch/unsubscribe-all||channel!,businessUnitId,verbose|json!|ids|Batch unsubscribe contacts from all subscriptions
statuses.batch_unsubscribed_from_all|POST|/communication-preferences/{version}/statuses/batch/unsubscribe-all/read||channel!,businessUnitId|json!|ids|Batch retrieve contacts who have opted out of all communications
statuses.batch_update|POST|/communication-preferences/{version}/statuses/batch/write|||json!|ids,sent:subscriptionId|Batch update subscription status
statuses.list|GET|/communication-preferences/{version}/statuses/{subscriberIdString}||channel!,businessUnitId||iterates,ids|Get subscription preferences for a specific contact
statuses.unsubscribe_all|POST|/communication-preferences/{version}/statuses/{subscriberIdString}/unsubscribe-all||channel!,businessUnitId,verbose||ids|Unsubscribe a contact from all subscriptions
statuses.unsubscribed_from_all|GET|/communication-preferences/{version}/statuses/{subscriberIdString}/unsubscribe-all||channel!,businessUnitId,verbose||ids|Retrieve a contact's unsubscribed status
statuses.update|POST|/communication-preferences/{version}/statuses/{subscriberIdString}|||json!|ids,sent:subscriptionId|Update a contact's subscription status
subscribe|POST|/communication-preferences/{version}/subscribe|2026-09||json!|ids
unsubscribe|POST|/communication-preferences/{version}/unsubscribe|2026-09||json!|ids
]],
tax_rates = [[
get|GET|/tax-rates/{version}/tax-rates/{taxRateGroupId}||?||ids|Get a specific tax rate
list|GET|/tax-rates/{version}/tax-rates||?||iterates,ids|Get all tax rates
]],
timeline = [[
batch_create_events|POST|/integrators/timeline/{version}/events/batch|2026-03|?|json|ids
create_event|POST|/integrators/timeline/{version}/events|2026-03|?|json|ids|Send event data (single)
create_type|POST|/integrators/timeline/{version}/types/projects|2026-03|?|json|ids
]],
visitor_identification = [[
create_token|POST|/visitor-identification/{version}/tokens/create||?|json|ids|Generate visitor token
]],
webhooks = [[
settings.delete|DELETE|/app-webhooks/{version}/{appId}/settings|2026-09
settings.delete|DELETE|/webhooks/{version}/{appId}/settings|2026-03||||Delete webhook settings
settings.get|GET|/app-webhooks/{version}/{appId}/settings|2026-09
settings.get|GET|/webhooks/{version}/{appId}/settings|2026-03||||Read webhook settings
settings.update|PUT|/app-webhooks/{version}/{appId}/settings|2026-09||json!
settings.update|PUT|/webhooks/{version}/{appId}/settings|2026-03||json!||Update webhook settings
subscriptions.batch_update|POST|/app-webhooks/{version}/{appId}/subscriptions/batch/update|2026-09||json!|sent:id
subscriptions.batch_update|POST|/webhooks/{version}/{appId}/subscriptions/batch/update|2026-03||json!|sent:id|Batch create event subscriptions
subscriptions.create|POST|/app-webhooks/{version}/{appId}/subscriptions|2026-09||json!
subscriptions.create|POST|/webhooks/{version}/{appId}/subscriptions|2026-03||json!||Create an event subscription
subscriptions.delete|DELETE|/app-webhooks/{version}/{appId}/subscriptions/{subscriptionId}|2026-09
subscriptions.delete|DELETE|/webhooks/{version}/{appId}/subscriptions/{subscriptionId}|2026-03||||Delete event subscription
subscriptions.get|GET|/app-webhooks/{version}/{appId}/subscriptions/{subscriptionId}|2026-09
subscriptions.get|GET|/webhooks/{version}/{appId}/subscriptions/{subscriptionId}|2026-03||||Read an event subscription
subscriptions.list|GET|/app-webhooks/{version}/{appId}/subscriptions|2026-09|||iterates
subscriptions.list|GET|/webhooks/{version}/{appId}/subscriptions|2026-03|||iterates|Read event subscriptions
subscriptions.update|PATCH|/app-webhooks/{version}/{appId}/subscriptions/{subscriptionId}|2026-09||json!
subscriptions.update|PATCH|/webhooks/{version}/{appId}/subscriptions/{subscriptionId}|2026-03||json!||Update an event subscription
]],
webhooks_journal = [[
batch_earliest|GET|/webhooks-journal/journal/{version}/batch/earliest/{count}|2026-03|installPortalId|||Fetch Earliest Batch
batch_latest|GET|/webhooks-journal/journal/{version}/batch/latest/{count}|2026-03|installPortalId|||Retrieve batch
batch_next|GET|/webhooks-journal/journal/{version}/batch/{offset}/next/{count}|2026-03|installPortalId|||Fetch Batch
batch_read|POST|/webhooks-journal/journal/{version}/batch/read|2026-03|installPortalId|json!||Batch read
create_snapshots|POST|/webhooks-journal/snapshots/{version}/crm|2026-03||json!|ids,sent:objectId+portalId|Create Snapshot
earliest|GET|/webhooks-journal/journal/{version}/earliest|2026-03|installPortalId|||Retrieve earliest entry
latest|GET|/webhooks-journal/journal/{version}/latest|2026-03|installPortalId|||Retrieve latest journal
local_account.batch_earliest|GET|/webhooks-journal/journal-local/{version}/batch/earliest/{count}|2026-03|installPortalId|||Fetch earliest batch
local_account.batch_latest|GET|/webhooks-journal/journal-local/{version}/batch/latest/{count}|2026-03|installPortalId|||Retrieve Latest Batch
local_account.batch_next|GET|/webhooks-journal/journal-local/{version}/batch/{offset}/next/{count}|2026-03|installPortalId|||Fetch Batch
local_account.batch_read|POST|/webhooks-journal/journal-local/{version}/batch/read|2026-03|installPortalId|json!||Batch read
local_account.earliest|GET|/webhooks-journal/journal-local/{version}/earliest|2026-03|installPortalId|||Retrieve earliest
local_account.latest|GET|/webhooks-journal/journal-local/{version}/latest|2026-03|installPortalId|||Retrieve latest
local_account.next|GET|/webhooks-journal/journal-local/{version}/offset/{offset}/next|2026-03|installPortalId|||Retrieve Next Batch
local_account.status|GET|/webhooks-journal/journal-local/{version}/status/{statusId}|2026-03||||Retrieve status
next|GET|/webhooks-journal/journal/{version}/offset/{offset}/next|2026-03|installPortalId|||Retrieve Next Entries
status|GET|/webhooks-journal/journal/{version}/status/{statusId}|2026-03||||Retrieve status
subscriptions.delete|DELETE|/webhooks-journal/subscriptions/{version}/{subscriptionId}|2026-03||||Delete subscription
subscriptions.delete_for_portal|DELETE|/webhooks-journal/subscriptions/{version}/portals/{portalId}|2026-03||||Delete Subscription
subscriptions.filters.create|POST|/webhooks-journal/subscriptions/{version}/filters|2026-03||json!|ids,sent:subscriptionId|Create Filter
subscriptions.filters.delete|DELETE|/webhooks-journal/subscriptions/{version}/filters/{filterId}|2026-03||||Delete filter
subscriptions.filters.get|GET|/webhooks-journal/subscriptions/{version}/filters/{filterId}|2026-03|||ids|Retrieve filter
subscriptions.filters.list|GET|/webhooks-journal/subscriptions/{version}/filters/subscription/{subscriptionId}|2026-03|||iterates,ids|Retrieve filters
subscriptions.get|GET|/webhooks-journal/subscriptions/{version}/{subscriptionId}|2026-03|||ids|Retrieve subscription
subscriptions.list|GET|/webhooks-journal/subscriptions/{version}|2026-03|||iterates,ids|Get Existing Subscriptions
subscriptions.upsert|POST|/webhooks-journal/subscriptions/{version}|2026-03||json!|ids,sent:listIds+objectIds+portalId|Upsert Subscription
]],
} }
