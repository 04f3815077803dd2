"""Where v1's names are: by module what it has, by name where that is, by area what is not served.

Names are those of the SDK's versions 1.0.6 to 1.62. One name has one home, so that the same object
stands under every path.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Tuple

#: `azureml.core.VERSION`: the last version whose names are here.
VERSION = "1.62.0"


def homes(module: str, names: str) -> Dict[str, str]:
    return {name: "%s:%s" % (module, name) for name in names.split()}


#: Name → "module:attribute".
HOMES: Dict[str, str] = {
    **homes("turnout", """
        ActivityFailedException AmlCompute AmlComputeProvisioningConfiguration ComputeTarget
        ComputeTargetException CondaDependencies ContainerRegistry DockerConfiguration Environment
        Experiment ExperimentExecutionException MpiConfiguration PyTorchConfiguration
        RemoteCompute RemoteComputeAttachConfiguration Run RunConfiguration
        RunConfigurationException RunDetails RunEnvironmentException ScriptRun ScriptRunConfig
        SnapshotException TensorflowConfiguration UserErrorException Workspace WorkspaceException
        get_run
    """),
    **homes("turnout.client.exceptions", """
        AzureMLException ProjectSystemException TrainingException
    """),
    "_OfflineRun": "turnout.payload.tracking:OfflineRun",
    "Tensorboard": "turnout.client.tensorboard:Tensorboard",
    "export_to_tensorboard": "turnout.client.tensorboard_export:export_to_tensorboard",
    "Keyvault": "turnout.client.keyvault:Keyvault",
    "Model": "turnout.client.model:Model",
    "ResourceConfiguration": "turnout.client.resource_configuration:ResourceConfiguration",
    **homes("turnout.client.exceptions", """
        ModelNotFoundException ModelPathNotFoundException WebserviceException
    """),
    **homes("turnout.client.estimator", "Chainer Estimator PyTorch SKLearn TensorFlow"),
    "MMLBaseEstimator": "turnout.client.estimator:Estimator",
    **homes("turnout.client.distributed_training", "Gloo Mpi Nccl ParameterServer"),
    **homes("turnout.client.aml_compute_status", """
        AmlComputeNodeStateCounts AmlComputeStatus ScaleSettings
    """),
    **homes("turnout.client.environment_sections", """
        DEFAULT_CPU_IMAGE DEFAULT_GPU_IMAGE DockerSection PythonSection SparkPackage SparkSection
    """),
    **homes("turnout.client.databricks_sections", """
        DatabricksCluster DatabricksSection EggLibrary JarLibrary MavenLibrary PyPiLibrary
        RCranLibrary
    """),
    **homes("turnout.client.run_config_sections", """
        ApplicationEndpointConfiguration KubernetesComputeConfiguration ParallelTaskConfiguration
    """),
    **homes("turnout.client.datastore", """
        AbstractAzureStorageDatastore AbstractDatastore AzureBlobDatastore AzureFileDatastore
        DataPath DataPathComputeBinding DataReference Datastore
    """),
    **homes("turnout.client.dataset_factories", """
        Dataset FileDatasetFactory TabularDatasetFactory
    """),
    **homes("turnout.client.datasets", "AbstractDataset FileDataset TabularDataset"),
    **homes("turnout.client.dataset_inputs", """
        DatasetConsumptionConfig OutputDatasetConfig OutputFileDatasetConfig
    """),
    **homes("turnout.client.dataset_definitions", "DataType PromoteHeadersBehavior"),
    **homes("turnout.payload.inputs", "InputDatasets"),
    "DatasetExecutionError": "turnout.payload.tables:DataError",
    "DatasetValidationError": "turnout.payload.tables:DataError",
    **homes("turnout.client.run_config", """
        AmlComputeConfiguration DataReferenceConfiguration HdiConfiguration HistoryConfiguration
        SparkConfiguration
    """),
    "ComputeTargetAttachConfiguration": "turnout.client.compute:AttachConfiguration",
    "ComputeTargetProvisioningConfiguration": "turnout.client.compute:ProvisioningConfiguration",
    "EnvironmentDefinition": "turnout:Environment",
    "DockerEnvironment": "turnout.client.environment_sections:DockerSection",
    "PythonEnvironment": "turnout.client.environment_sections:PythonSection",
    "SparkEnvironment": "turnout.client.environment_sections:SparkSection",
    "DatabricksEnvironment": "turnout.client.databricks_sections:DatabricksSection",
    "MPI_CPU_IMAGE": "turnout.client.environment_sections:DEFAULT_CPU_IMAGE",
    "MPI_GPU_IMAGE": "turnout.client.environment_sections:DEFAULT_GPU_IMAGE",
    **homes("turnout.payload.v1.inert", """
        AbstractAuthentication ArmTokenAuthentication Audience AzureCliAuthentication
        AzureMLTokenAuthentication AzureMlTokenAuthentication AzureNotebooksAuthentication
        InteractiveLoginAuthentication MsiAuthentication ServicePrincipalAuthentication
        TokenAuthentication
        add_diagnostics_properties diagnostic_log get_diagnostics_collection_info get_event_logger
        get_telemetry_log_handler is_diagnostics_collection_info_available
        set_diagnostics_collection set_diagnostics_properties
    """),
    **homes("azureml._warts", """
        LOCAL_RUNCONFIG_NAME LocalTarget POST_PROCESSING_STATES RUNNING_STATES ViewType
        attach_legacy_compute_target get_run_config_from_script_run is_compute_target_prepared
        prepare_compute_target remove_legacy_compute_target submit
    """),
    "VERSION": "turnout.payload.v1.names:VERSION",
}  # fmt: skip

#: What stands for a name in a script that has no way to the workspace.
SCRIPT_HOMES = {"Dataset": "turnout.payload.inputs:ScriptDataset"}

#: Every home's names are also in `azureml.core.<part>`, as v1 arranged them.
MODULES: Dict[str, str] = {
    "azureml": "",
    "azureml._restclient": "",
    "azureml._restclient.snapshots_client": "",
    "azureml.core": """
        ComputeTarget ContainerRegistry Dataset Datastore Environment Experiment Image Keyvault
        LinkedService Model PrivateEndPoint PrivateEndPointConfig Run RunConfiguration ScriptRun
        ScriptRunConfig SynapseWorkspaceLinkedServiceConfiguration VERSION Webservice Workspace
        attach_legacy_compute_target diagnostic_log get_run is_compute_target_prepared
        prepare_compute_target remove_legacy_compute_target
    """,
    "azureml.core.authentication": """
        AbstractAuthentication ArmTokenAuthentication Audience AzureCliAuthentication
        AzureMLTokenAuthentication AzureMlTokenAuthentication AzureNotebooksAuthentication
        InteractiveLoginAuthentication MsiAuthentication ServicePrincipalAuthentication
        TokenAuthentication UserErrorException
    """,
    "azureml.core.compute": """
        AdlaCompute AksCompute AmlCompute BatchCompute ComputeInstance ComputeTarget
        DataFactoryCompute DatabricksCompute DsvmCompute HDInsightCompute KubernetesCompute
        KustoCompute RemoteCompute SynapseCompute
    """,
    "azureml.core.compute.adla": """
        AdlaCompute ComputeTargetException DataLakeAnalyticsAttachConfiguration
    """,
    "azureml.core.compute.aks": """
        AksAttachConfiguration AksCompute AksProvisioningConfiguration AksUpdateConfiguration
        ComputeTargetException SslConfiguration SystemService
    """,
    "azureml.core.compute.amlcompute": """
        AmlCompute AmlComputeNodeStateCounts AmlComputeProvisioningConfiguration AmlComputeStatus
        ComputeTargetException ScaleSettings
    """,
    "azureml.core.compute.batch": "BatchAttachConfiguration BatchCompute ComputeTargetException",
    "azureml.core.compute.compute": """
        ComputeTarget ComputeTargetAttachConfiguration ComputeTargetException
        ComputeTargetProvisioningConfiguration ComputeTargetUpdateConfiguration UserErrorException
    """,
    "azureml.core.compute.computeinstance": """
        ComputeInstance ComputeInstanceProvisioningConfiguration ComputeInstanceStatus
        ComputeTargetException
    """,
    "azureml.core.compute.databricks": """
        ComputeTargetException DatabricksAttachConfiguration DatabricksCompute
    """,
    "azureml.core.compute.datafactory": """
        ComputeTargetException DataFactoryAttachConfiguration DataFactoryCompute
        DataFactoryProvisioningConfiguration
    """,
    "azureml.core.compute.dsvm": """
        ComputeTargetException DsvmCompute DsvmProvisioningConfiguration
    """,
    "azureml.core.compute.hdinsight": """
        ComputeTargetException HDInsightAttachConfiguration HDInsightCompute
    """,
    "azureml.core.compute.kubernetescompute": """
        ComputeTargetException KubernetesCompute KubernetesComputeAttachConfiguration
        KubernetesComputeStatus
    """,
    "azureml.core.compute.kusto": "ComputeTargetException KustoAttachConfiguration KustoCompute",
    "azureml.core.compute.remote": """
        ComputeTargetException RemoteCompute RemoteComputeAttachConfiguration
    """,
    "azureml.core.compute.synapse": """
        ComputeTargetException SynapseAttachConfiguration SynapseCompute
    """,
    "azureml.core.compute_target": """
        AbstractComputeTarget AmlCompute ComputeTarget ComputeTargetException LocalTarget
        RemoteCompute UserErrorException attach_legacy_compute_target is_compute_target_prepared
        prepare_compute_target remove_legacy_compute_target
    """,
    "azureml.core.conda_dependencies": "CondaDependencies Environment UserErrorException",
    "azureml.core.container_registry": "ContainerRegistry RegistryIdentity",
    "azureml.core.databricks": """
        DatabricksCluster DatabricksEnvironment DatabricksSection EggLibrary JarLibrary
        MavenLibrary PyPiLibrary RCranLibrary UserErrorException
    """,
    "azureml.core.dataset": "Dataset",
    "azureml.core.datastore": "Datastore UserErrorException",
    "azureml.core.environment": """
        CondaDependencies ContainerRegistry DEFAULT_CPU_IMAGE DEFAULT_GPU_IMAGE DatabricksSection
        DockerBuildContext DockerEnvironment DockerImageDetails DockerImagePlatform DockerSection
        Environment EnvironmentReference ImageBuildDetails PythonEnvironment PythonSection
        RCranPackage RGitHubPackage RSection SparkEnvironment SparkPackage SparkSection
        UserErrorException
    """,
    "azureml.core.experiment": "DEFAULT_GPU_IMAGE Experiment Run UserErrorException ViewType",
    "azureml.core.keyvault": "Keyvault",
    "azureml.core.linked_service": """
        LinkedService LinkedServiceConfiguration SynapseWorkspaceLinkedServiceConfiguration
        UserErrorException
    """,
    "azureml.core.model": """
        ContainerRegistry Dataset Environment InferenceConfig Model ModelPackage Run
        UserErrorException
    """,
    "azureml.core.private_endpoint": "PrivateEndPoint PrivateEndPointConfig",
    "azureml.core.resource_configuration": "ResourceConfiguration",
    "azureml.core.run": """
        Environment InputDatasets LinkOutput OutputDatasets POST_PROCESSING_STATES RUNNING_STATES
        Run UserErrorException _OfflineRun get_run
    """,
    "azureml.core.runconfig": """
        AmlComputeConfiguration ApplicationEndpointConfiguration AzureContainerRegistry
        CondaDependencies ContainerRegistry DEFAULT_CPU_IMAGE DEFAULT_GPU_IMAGE Data DataLocation
        DataPath DataReferenceConfiguration DatabricksCluster DatabricksSection
        DatacacheConfiguration Dataset DatasetRegistrationOptions DockerConfiguration
        DockerEnvironment DockerSection EggLibrary Environment EnvironmentDefinition GlobsOptions
        HdiConfiguration HistoryConfiguration JarLibrary KubernetesComputeConfiguration
        LOCAL_RUNCONFIG_NAME MPI_CPU_IMAGE MPI_GPU_IMAGE MavenLibrary MountOptions
        MpiConfiguration OutputData OutputOptions ParallelTaskConfiguration PyPiLibrary
        PyTorchConfiguration PythonEnvironment PythonSection RCranLibrary RegistrationOptions Run
        RunConfiguration SparkConfiguration SparkEnvironment SparkPackage SparkSection
        TensorflowConfiguration UploadOptions Uri UserErrorException
    """,
    "azureml.core.script_run": "Run ScriptRun UserErrorException",
    "azureml.core.script_run_config": """
        ScriptRunConfig UserErrorException get_run_config_from_script_run submit
    """,
    "azureml.core.workspace": "Dataset Environment Run UserErrorException Workspace",
    "azureml.data": """
        DataType FileDataset HDFSOutputDatasetConfig LinkFileOutputDatasetConfig
        LinkTabularOutputDatasetConfig OutputFileDatasetConfig TabularDataset
    """,
    "azureml.data.abstract_dataset": "AbstractDataset UserErrorException",
    "azureml.data.abstract_datastore": "AbstractDatastore",
    "azureml.data.azure_storage_datastore": """
        AbstractAzureStorageDatastore AzureBlobDatastore AzureFileDatastore UserErrorException
    """,
    "azureml.data.data_reference": "DataReference UserErrorException",
    "azureml.data.datapath": "DataPath DataPathComputeBinding",
    "azureml.data.dataset_consumption_config": "DatasetConsumptionConfig UserErrorException",
    "azureml.data.dataset_error_handling": "DatasetExecutionError DatasetValidationError",
    "azureml.data.dataset_factory": """
        DataType FileDatasetFactory TabularDatasetFactory UserErrorException
    """,
    "azureml.data.dataset_type_definitions": """
        FileEncoding FileType PromoteHeadersBehavior SkipLinesBehavior
    """,
    "azureml.data.file_dataset": "FileDataset UserErrorException",
    "azureml.data.output_dataset_config": """
        HDFSOutputDatasetConfig LinkFileOutputDatasetConfig LinkTabularOutputDatasetConfig
        OutputDatasetConfig OutputFileDatasetConfig OutputTabularDatasetConfig
    """,
    "azureml.data.sql_data_reference": "SqlDataReference",
    "azureml.data.tabular_dataset": "TabularDataset",
    "azureml.exceptions": """
        ActivityFailedException AuthenticationException AzureMLAggregatedException
        AzureMLException ComputeTargetException DatasetTimestampMissingError
        DiscoveryUrlNotFoundException ExperimentExecutionException ModelNotFoundException
        ModelPathNotFoundException ParallelRunException ProjectSystemException
        RunConfigurationException RunEnvironmentException ServiceException SnapshotException
        TrainingException UserErrorException WebserviceException WorkspaceException
        WorkspacePrivateEndpointException
    """,
    "azureml.telemetry": """
        add_diagnostics_properties get_diagnostics_collection_info get_event_logger
        get_telemetry_log_handler is_diagnostics_collection_info_available
        set_diagnostics_collection set_diagnostics_properties
    """,
    "azureml.tensorboard": "Tensorboard",
    "azureml.tensorboard.export": "export_to_tensorboard",
    "azureml.tensorboard.tensorboard": "Tensorboard",
    "azureml.train": "",
    "azureml.train.dnn": "Chainer Gloo Mpi Nccl ParameterServer PyTorch TensorFlow",
    "azureml.train.estimator": """
        Estimator Gloo MMLBaseEstimator MMLBaseEstimatorRunConfig Mpi Nccl ParameterServer
    """,
    "azureml.train.sklearn": "SKLearn",
    "azureml.widgets": "ParallelRunStepDetails RunDetails",
    "azureml.widgets.run_details": "RunDetails",
}

DEPLOYMENT = (
    "deployment is not what Turnout is for: it trains. Serve a model from its files, which "
    "`Model.download` gives"
)
STORES = (
    "this version's datastores are the workspace's own (`ws.get_default_datastore()`): copy the "
    "files into one, or read them with a library of that service in the script"
)
LATER = "it is not in this version of Turnout yet"

#: (module and all below it, what is to be said of every name there).
AREAS: Tuple[Tuple[str, str], ...] = (
    ("azureml.pipeline", "pipelines: " + LATER),
    ("azureml.train.hyperdrive", "tuning (HyperDrive): " + LATER),
    ("azureml.train.automl", "AutoML: " + LATER),
    ("azureml.automl", "AutoML: " + LATER),
    ("azureml.core.webservice", DEPLOYMENT),
    ("azureml.core.image", DEPLOYMENT),
    ("azureml.core.profile", DEPLOYMENT),
    ("azureml.accel", DEPLOYMENT),
    ("azureml.monitoring", DEPLOYMENT),
    ("azureml.contrib.services", DEPLOYMENT),
    ("azureml.explain", "explaining models: use the `interpret` package in the script"),
    ("azureml.interpret", "explaining models: use the `interpret` package in the script"),
    ("azureml.contrib.interpret", "explaining models: use the `interpret` package in the script"),
    ("azureml.contrib.explain", "explaining models: use the `interpret` package in the script"),
    ("azureml.responsibleai", "responsible AI dashboards: use the `responsibleai` package"),
    ("azureml.contrib.fairness", "fairness: use the `fairlearn` package in the script"),
    ("azureml.dataprep", "data preparation: use pandas, or `azureml.core.Dataset`"),
    ("azureml.opendatasets", "Azure Open Datasets is a service of Azure's: download the files"),
    ("azureml.datadrift", "watching data for drift is outside Turnout"),
    ("azureml.contrib.datadrift", "watching data for drift is outside Turnout"),
    ("azureml.contrib", "this preview part of v1 is not served"),
    ("azureml.mlflow", "install `mlflow` alone: Turnout's plugin for it needs nothing more"),
    ("azureml.data.dbfs_datastore", STORES),
    ("azureml.data.hdfs_datastore", STORES),
    ("azureml.data.azure_data_lake_datastore", STORES),
    ("azureml.data.azure_my_sql_datastore", STORES),
    ("azureml.data.azure_postgre_sql_datastore", STORES),
    ("azureml.data.azure_sql_database_datastore", STORES),
    ("azureml.data", "this part of v1's datasets is not served"),
    ("azureml._restclient", "it is a private part of v1's SDK"),
    ("azureml._base_sdk_common", "it is a private part of v1's SDK"),
    ("azureml.core.util", "it is a private part of v1's SDK"),
)

AKS = "clusters of Kubernetes were for deployment, which is not what Turnout is for: it trains"
INSTANCE = "Azure's notebook servers have no part here: use any Jupyter"
NETWORK = "Azure's private networking has no meaning here"


def unserved(why: str, names: str) -> Dict[str, str]:
    return dict.fromkeys(names.split(), why)


#: Single names of served modules that are not served.
UNSERVED: Dict[str, str] = {
    **unserved(AKS, """
        AksAttachConfiguration AksCompute AksProvisioningConfiguration AksUpdateConfiguration
        KubernetesCompute KubernetesComputeAttachConfiguration
        KubernetesComputeStatus SslConfiguration SystemService
    """),
    **unserved(INSTANCE, """
        ComputeInstance ComputeInstanceProvisioningConfiguration ComputeInstanceStatus
    """),
    **unserved("this kind of target: " + LATER, """
        AdlaCompute BatchAttachConfiguration BatchCompute DataLakeAnalyticsAttachConfiguration
        DatabricksAttachConfiguration DatabricksCompute HDInsightAttachConfiguration
        HDInsightCompute
    """),
    **unserved("it is a service of Azure's that Turnout does not talk to", """
        DataFactoryAttachConfiguration DataFactoryCompute DataFactoryProvisioningConfiguration
        KustoAttachConfiguration KustoCompute LinkedService LinkedServiceConfiguration
        SynapseAttachConfiguration SynapseCompute SynapseWorkspaceLinkedServiceConfiguration
    """),
    **unserved("Turnout makes no virtual machines: attach the one you have with RemoteCompute",
               "DsvmCompute DsvmProvisioningConfiguration"),
    **unserved(NETWORK, "PrivateEndPoint PrivateEndPointConfig WorkspacePrivateEndpointException"),
    **unserved(DEPLOYMENT, "Image InferenceConfig ModelPackage Webservice"),
    "ParallelRunStepDetails": "pipelines: " + LATER,
    **unserved("scripts in R are not served: Turnout runs Python",
               "RCranPackage RGitHubPackage RSection"),
}  # fmt: skip
